"""A classifier's forward pass on a GPU, recorded once for rows of some sizes: for inference alone.

To launch the thousand kernels of a pass one by one takes a CPU far longer than a few tweets take the GPU. A
CUDA graph launches them all at once, but its shapes are fixed: a row is copied into the smallest recorded one
that holds it. What is left of that one's tokens belongs to no tweet, and what is left of its tweets has no
tokens; each real tweet reads its own tokens alone.

Such a model can be neither trained nor moved; saving it is fine.

Shapes: B tweets and N tokens of a row, R tweets and S tokens of a recorded one, K labels.
"""

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

from ..attention import VARLEN, has_flash
from ..classifier import OpenELMForSequenceClassification

SIZES = tuple(sorted(part << k for k in range(8) for part in (64, 96)))[:-1]  # to 8,192 tokens
LONGEST = 256  # tokens of a tweet
_TOKENS_EACH = 8  # of a recorded tweet: real ones have some 37, so that tokens run out first


def can_capture(model: OpenELMForSequenceClassification) -> bool:
    """Whether nothing in this model's packed forward pass waits for the GPU: with the flash kernel, and where
    only each tweet's last token counts."""
    weight = model.transformer.token_embeddings.weight
    half = weight.dtype in (torch.bfloat16, torch.float16)
    last, packed = model.config.classifier_pooling == "last", model.config._attn_implementation == VARLEN
    return weight.is_cuda and half and last and packed and has_flash(weight.device)


def capture(model: OpenELMForSequenceClassification, sizes: Sequence[int] = SIZES) -> None:
    """Record `model` for rows of up to so many tokens, in place."""
    forward = Captured(model)
    forward.record(sizes)
    model.forward = forward


def smallest(sizes: Sequence[int], tokens: int, tweets: int) -> int | None:
    """The size, of those in ascending order, into which a row fits."""
    return next((size for size in sizes if tokens <= size and tweets <= _tweets(size)), None)


def _tweets(size: int) -> int:
    return size // _TOKENS_EACH


@dataclass(frozen=True)
class Recorded:
    """One size's graph, what it reads and what it writes.

    Attributes:
        ids: (1, S).
        positions: (1, S).
        starts: (R + 1,).
        logits: (R, K).
    """

    graph: torch.cuda.CUDAGraph
    ids: Tensor
    positions: Tensor
    starts: Tensor
    logits: Tensor

    def replay(self, ids: Tensor, positions: Tensor, starts: Tensor) -> Tensor:
        """(B, K) logits of a row (1, N), with positions (1, N) and starts (B + 1,)."""
        tokens, tweets = ids.shape[1], len(starts) - 1
        self.ids[:, :tokens].copy_(ids)
        self.positions[:, :tokens].copy_(positions)
        self.starts[: tweets + 1].copy_(starts)
        self.starts[tweets + 1 :].fill_(tokens)
        self.graph.replay()
        return self.logits[:tweets].clone()


class Captured:
    """A model's `forward`: replayed for packed rows that fit, the model's own for everything else."""

    def __init__(self, model: OpenELMForSequenceClassification) -> None:
        self._model = weakref.ref(model)  # it holds this: a cycle would wait for the garbage collector
        self._recorded: dict[int, Recorded] = {}
        self._alone = threading.Lock()  # what a graph reads and writes is there once

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        recorded = None if args else self._fitting(inputs)
        if recorded is None:
            return self._plain(*args, **inputs)
        with self._alone:
            logits = recorded.replay(inputs["input_ids"], inputs["position_ids"], inputs["cu_seq_lens_q"])
        return SequenceClassifierOutputWithPast(logits=logits)

    def record(self, sizes: Sequence[int]) -> None:
        """The largest first: the others then share its memory."""
        pool = torch.cuda.graph_pool_handle()
        model = self._model()
        assert model is not None
        with torch.inference_mode(), torch.cuda.device(model.device):
            stream = torch.cuda.Stream()
            found = {size: self._record(size, stream, pool) for size in sorted(sizes, reverse=True)}
        self._recorded = dict(sorted(found.items()))

    def _record(self, size: int, stream: torch.cuda.Stream, pool: Any) -> Recorded:
        ids = torch.zeros(1, size, dtype=torch.long, device=stream.device)
        positions = torch.zeros_like(ids)
        starts = torch.arange(_tweets(size) + 1, device=stream.device, dtype=torch.int32) * _TOKENS_EACH
        inputs = {"input_ids": ids, "position_ids": positions, "use_cache": False}
        inputs |= {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts}
        inputs |= {"max_length_q": min(size, LONGEST), "max_length_k": min(size, LONGEST)}
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._plain(**inputs)  # libraries choose their kernels and set them up at the first call
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Another thread may be using the GPU: a service loads its next model while it answers.
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            logits = self._plain(**inputs).logits
        return Recorded(graph, ids, positions, starts, logits)

    def _plain(self, *args: Any, **inputs: Any) -> Any:
        model = self._model()
        assert model is not None
        return type(model).forward(model, *args, **inputs)

    def _fitting(self, inputs: dict[str, Any]) -> Recorded | None:
        """The recorded size for these keyword arguments, if they are a packed row and nothing more."""
        if torch.is_grad_enabled() or inputs.keys() - _ROW or _ROW - inputs.keys() or inputs["use_cache"]:
            return None
        tokens, tweets = inputs["input_ids"].shape[1], len(inputs["cu_seq_lens_q"]) - 1
        size = smallest(list(self._recorded), tokens, tweets)
        return None if size is None or inputs["max_length_q"] > LONGEST else self._recorded[size]


_ROW = {
    "input_ids",
    "position_ids",
    "cu_seq_lens_q",
    "cu_seq_lens_k",
    "max_length_q",
    "max_length_k",
    "use_cache",
}  # `PackedBatch.inputs`
