"""The classifier as one graph: padded token ids to calibrated probabilities, for torch.export and ONNX.

Shapes: B texts, T tokens of the longest text, K labels.
"""

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tweetelm.encoding import Encoded
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.loading import load_weights

TORCH_FILE, ONNX_FILE = "model.pt2", "model.onnx"
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "probabilities"
LARGEST_BATCH = 4096
_ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


class PaddedClassifier(nn.Module):
    """The classifier with softmax and temperature."""

    def __init__(self, model: OpenELMForSequenceClassification, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Probabilities (B, K) of token ids (B, T), padded on the right with any id; the mask (B, T) is 1 for
        real tokens, else 0."""
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        probabilities: Tensor = (logits / self.temperature).softmax(-1)
        return probabilities


def padded_classifier(folder: Path, temperature: float) -> PaddedClassifier:
    """Load a version for tracing: in float32 on the CPU, with torch's own attention."""
    model = load_weights(OpenELMForSequenceClassification, folder)
    model.set_attn_implementation("sdpa")
    return PaddedClassifier(model, temperature).eval()


def pad(encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
    """Token ids and mask, both (B, T) int64, padded on the right."""
    rows = [torch.tensor(item.ids) for item in encoded]
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
    return ids, mask


def save_torch_export(model: PaddedClassifier, folder: Path, max_tokens: int) -> Any:
    """Write model.pt2; returns the loaded file, a function of ids and mask."""
    with torch.no_grad(), _without_warnings():
        program = torch.export.export(model, _example(max_tokens), dynamic_shapes=_dynamic(max_tokens))
        torch.export.save(program, folder / TORCH_FILE)
        return torch.export.load(folder / TORCH_FILE).module()


def save_onnx(model: PaddedClassifier, folder: Path, max_tokens: int) -> Any:
    """Write model.onnx; returns a function of ids and mask that runs it in onnxruntime.

    Raises:
        ValueError: the ONNX packages are not installed.
    """
    check_onnx()
    import onnxruntime

    with torch.no_grad(), _without_warnings():
        program = torch.onnx.export(
            model,
            _example(max_tokens),
            dynamo=True,
            dynamic_shapes=_dynamic(max_tokens),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            verbose=False,
        )
        assert program is not None  # it is None for the old exporter only
        program.save(folder / ONNX_FILE)
    session = onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])

    def run(ids: Tensor, mask: Tensor) -> Tensor:
        found = session.run([OUTPUT], dict(zip(INPUTS, (ids.numpy(), mask.numpy()), strict=True)))
        return torch.from_numpy(found[0])

    return run


def check_onnx() -> None:
    """Raise ValueError unless the ONNX packages are installed."""
    absent = [name for name in _ONNX_PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise ValueError(
            f"--format onnx needs {', '.join(absent)}; install them with `pip install 'tweetelm[onnx]'`"
        )


def _example(max_tokens: int) -> tuple[Tensor, Tensor]:
    """Two texts of different lengths, to trace the model with."""
    longest = min(5, max_tokens)
    return pad([Encoded(tuple([1] * length), False) for length in (longest, longest - 1)])


def _dynamic(max_tokens: int) -> dict[str, dict[int, Any]]:
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    sequence = torch.export.Dim("sequence", min=1, max=max_tokens)
    return {name: {0: batch, 1: sequence} for name in INPUTS}


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide the exporters' warnings about their own code; the result is checked instead."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
