"""Records the forward pass of a classifier as CUDA graphs for several row sizes; for inference only.

Launching the about 1,000 kernels of a pass one by one takes the CPU much longer than the GPU needs for a few
tweets. A CUDA graph launches all kernels at once, but its shapes are fixed. A row is therefore copied into
the smallest recorded row that it fits into. Unused tokens of the recorded row belong to no tweet, and unused
tweets have no tokens, so that the tweets of the row are not affected.

A model with recorded graphs cannot be trained or moved. It can be saved.

Shapes: B tweets and N tokens of a row, R tweets and S tokens of a recorded row, K labels.
"""

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

from .attention import VARLEN, has_flash
from .classifier import OpenELMForSequenceClassification

SIZES = tuple(sorted(part << k for k in range(8) for part in (64, 96)))[:-1]  # to 8,192 tokens
LONGEST = 256  # maximum tokens of a tweet
_TOKENS_EACH = 8  # tokens per recorded tweet; real tweets have about 37, so tokens are the tighter limit


def can_capture(model: OpenELMForSequenceClassification) -> bool:
    """Whether the packed forward pass of this model never waits for the GPU, which recording requires.

    This needs the flash kernel, half precision, and pooling of each tweet's last token.
    """
    weight = model.transformer.token_embeddings.weight
    half = weight.dtype in (torch.bfloat16, torch.float16)
    last, packed = model.config.classifier_pooling == "last", model.config._attn_implementation == VARLEN
    return weight.is_cuda and half and last and packed and has_flash(weight.device)


def capture(model: OpenELMForSequenceClassification, sizes: Sequence[int] = SIZES) -> None:
    """Record the forward pass of `model` for rows of the given numbers of tokens, in place."""
    forward = Captured(model)
    forward.record(sizes)
    model.forward = forward


def smallest(sizes: Sequence[int], tokens: int, tweets: int) -> int | None:
    """The smallest of the ascending `sizes` that a row fits into; None if there is none."""
    return next((size for size in sizes if tokens <= size and tweets <= _tweets(size)), None)


def _tweets(size: int) -> int:
    return size // _TOKENS_EACH


@dataclass(frozen=True)
class Recorded:
    """The graph of one size with its input and output buffers.

    Attributes:
        graph: the recorded forward pass.
        ids: input, (1, S).
        positions: input, (1, S).
        starts: input, (R + 1,).
        logits: output, (R, K).
    """

    graph: torch.cuda.CUDAGraph
    ids: Tensor
    positions: Tensor
    starts: Tensor
    logits: Tensor

    def replay(self, ids: Tensor, positions: Tensor, starts: Tensor) -> Tensor:
        """Logits (B, K) of a row (1, N) with positions (1, N) and starts (B + 1,)."""
        tokens, tweets = ids.shape[1], len(starts) - 1
        self.ids[:, :tokens].copy_(ids)
        self.positions[:, :tokens].copy_(positions)
        self.starts[: tweets + 1].copy_(starts)
        self.starts[tweets + 1 :].fill_(tokens)
        self.graph.replay()
        return self.logits[:tweets].clone()


class Captured:
    """Replaces a model's `forward`: replays a graph for packed rows that fit, else calls the model."""

    def __init__(self, model: OpenELMForSequenceClassification) -> None:
        self._model = weakref.ref(model)  # avoids a reference cycle: the model refers to this object
        self._recorded: dict[int, Recorded] = {}
        self._lock = threading.Lock()  # each graph has only one set of buffers

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        recorded = None if args else self._fitting(inputs)
        if recorded is None:
            return self._plain(*args, **inputs)
        with self._lock:
            logits = recorded.replay(inputs["input_ids"], inputs["position_ids"], inputs["cu_seq_lens_q"])
        return SequenceClassifierOutputWithPast(logits=logits)

    def record(self, sizes: Sequence[int]) -> None:
        """Record all sizes, the largest first, so that the others share its memory."""
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
            self._plain(**inputs)  # warm-up: libraries select and load kernels at the first call
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU: a service loads a new model while it answers requests.
        with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
            logits = self._plain(**inputs).logits
        return Recorded(graph, ids, positions, starts, logits)

    def _plain(self, *args: Any, **inputs: Any) -> Any:
        model = self._model()
        assert model is not None
        return type(model).forward(model, *args, **inputs)

    def _fitting(self, inputs: dict[str, Any]) -> Recorded | None:
        """The recording for these keyword arguments; None unless they are exactly a packed row that fits."""
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
