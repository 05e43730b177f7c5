"""Forward passes of a classifier: prepares a model for inference, and runs packed batches through it."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tweetelm import precision as arithmetic
from tweetelm.encoding import pass_tokens, token_batches
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.cpu.fused import fuse, fused_precision, why_not_fused
from tweetelm.openelm.cpu.prefix_tree import prefix_trees
from tweetelm.openelm.cpu.training_layers import is_fused_for_training
from tweetelm.openelm.cuda_graphs import can_capture, capture
from tweetelm.openelm.packing import few_sizes, many_sizes, pack_onto
from tweetelm.threads import fit_threads


def ready(
    model: OpenELMForSequenceClassification,
    device: torch.device,
    precision: arithmetic.InferencePrecision,
    typical: Sequence[Sequence[int]] = (),
) -> OpenELMForSequenceClassification:
    """Prepare a float32 model for inference on `device`, in place.

    With precision "auto", a large model computes in bfloat16 if the hardware supports it. On a CPU, the
    decoder layers become fused layers if they can (see `why_not_fused`, which must be "" for int8); on a GPU,
    the forward pass in half precision is recorded as CUDA graphs. Such a model can be neither trained, saved
    nor moved.

    Args:
        model: a float32 model.
        device: for inference.
        precision: of the arithmetic.
        typical: token ids of typical tweets, from which int8 takes the magnitudes of its inputs.
    """
    model.eval()
    if precision == "auto":
        large = model.num_parameters() >= arithmetic.LARGE
        precision = "bf16" if large and arithmetic.has_bf16(device) else "float32"
    if not why_not_fused(model.config, device, precision):
        measure = precision == "int8" and typical
        fuse(model, precision, (lambda: classify_packed(model, typical)) if measure else None)
    if precision == "bf16":
        model.bfloat16()
        model.score.float()
    model.to(device)  # type: ignore[arg-type]  # transformers wraps torch's `to`
    if can_capture(model):
        capture(model)
    return model


def classify_packed(
    model: OpenELMForSequenceClassification,
    sequences: Sequence[Sequence[int]],
    batch_tokens: int | None = None,
    *,
    follow_load: bool = False,
    owners: Sequence[str | None] | None = None,
) -> Tensor:
    """Logits (N, K) of N token sequences, float32 on the CPU, in the given order.

    Args:
        model: a classifier.
        sequences: N token sequences.
        batch_tokens: most tokens of a packed batch; None for the device's default (see `pass_tokens`).
        follow_load: change torch's number of threads with the load of this machine. Not in training, whose
            results depend on it by rounding.
        owners: of each sequence (see `prefix_trees`); None: all have one owner.
    """
    device = next(model.parameters()).device
    order: list[int] = []
    logits = [torch.empty(0, model.num_labels, device=device)]
    follow_load = follow_load and device.type == "cpu"
    with torch.inference_mode():
        for rows, inputs in _passes(model, sequences, pass_tokens(device, batch_tokens), owners):
            if follow_load:
                fit_threads()
            order += rows
            logits.append(model(**inputs).logits[: len(rows)].float())
    out = torch.empty(len(sequences), model.num_labels)
    out[order] = torch.cat(logits).cpu()  # the only wait for the GPU: it computes while batches are packed
    return out


def _passes(
    model: OpenELMForSequenceClassification,
    sequences: Sequence[Sequence[int]],
    most: int,
    owners: Sequence[str | None] | None,
) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """For each forward pass, the indices of its tweets and the arguments of the model."""
    fused, trained = fused_precision(model) is not None, is_fused_for_training(model)
    if (fused or trained) and model.config.classifier_pooling == "last":
        for tree in prefix_trees(sequences, most, few_sizes if fused else many_sizes, owners):
            yield tree.tweets, tree.inputs()
        return
    for rows in token_batches([len(s) for s in sequences], most):
        yield rows, pack_onto(model.device, [sequences[row] for row in rows], fused=fused).inputs()
