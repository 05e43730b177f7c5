"""Whether a published checkpoint is what its preset says, tensor by tensor, before hours are spent on it."""

import hashlib
import math
from dataclasses import dataclass

from ..flops import cost
from ..modeling_openelm import OpenELMForCausalLM
from ..presets import find_preset, preset_config
from .hub import Checkpoint, fetch, fetch_tokenizer
from .loading import load_weights, read_config
from .tokenizer import load_tokenizer
from .weight_files import stored_shapes


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a checkpoint holds.

    Attributes:
        name: as it was asked for.
        repo: on the hub, or the folder.
        commit: None for a folder.
        tensors: that are stored.
        parameters: that they have together.
        pieces: of its tokenizer; None if no tokenizer is named.
        tokenizer_sha256: of the tokenizer in the form that is used, whatever file it came from.
    """

    name: str
    repo: str
    commit: str | None
    tensors: int
    parameters: int
    pieces: int | None
    tokenizer_sha256: str | None

    def __str__(self) -> str:
        at = f" at {self.commit}" if self.commit else ""
        tokenizer = "no tokenizer of its own"
        if self.tokenizer_sha256:
            tokenizer = f"tokenizer of {self.pieces:,} pieces, sha256 {self.tokenizer_sha256}"
        return (
            f"{self.name}: {self.repo}{at}: {self.tensors} tensors, {self.parameters:,} parameters, all as "
            f"expected; {tokenizer}"
        )


def inspect(name: str, revision: str | None = None, tokenizer: str | None = None) -> Inspection:
    """Fetch and load a checkpoint and count it.

    Args:
        name: a preset, a hub id or a folder.
        revision: git revision on the hub; by default the preset's.
        tokenizer: a file, a folder or a hub id in place of the preset's.

    Raises:
        FileNotFoundError: weights or tokenizer cannot be had.
        ValueError: a tensor is missing, unknown or misshapen, or the counts are not the preset's.
    """
    checkpoint = fetch(name, revision)
    load_weights(OpenELMForCausalLM, checkpoint.folder)
    shapes = stored_shapes(checkpoint.folder)
    parameters = sum(math.prod(shape) for shape in shapes.values())
    _check_counts(name, checkpoint, parameters)
    preset = find_preset(name)
    wanted = tokenizer or (preset.tokenizer if preset else None)
    found = load_tokenizer(fetch_tokenizer(wanted)) if wanted else None
    return Inspection(
        name=name,
        repo=checkpoint.repo or str(checkpoint.folder),
        commit=checkpoint.commit,
        tensors=len(shapes),
        parameters=parameters,
        pieces=found.get_vocab_size() if found else None,
        tokenizer_sha256=hashlib.sha256(found.to_str().encode()).hexdigest() if found else None,
    )


def _check_counts(name: str, checkpoint: Checkpoint, parameters: int) -> None:
    expected = cost(read_config(checkpoint.folder)).parameters
    if find_preset(name) is not None:
        expected = cost(preset_config(name)).parameters
    if parameters != expected:
        raise ValueError(
            f"{checkpoint.repo or checkpoint.folder} has {parameters:,} parameters; expected {expected:,} of "
            f"{name}: it is another model, name it by its own hub id or folder"
        )
