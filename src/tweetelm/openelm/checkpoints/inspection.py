"""Checks the tensors and the tokenizer of a checkpoint against its configuration or preset."""

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
    """The content of a checkpoint.

    Attributes:
        name: the name given by the user.
        repo: hub id, or the folder.
        commit: git commit on the hub; None for a folder.
        tensors: number of stored tensors.
        parameters: number of stored parameters.
        pieces: vocabulary of the tokenizer; None without a tokenizer.
        tokenizer_sha256: hash of the tokenizer as loaded, in the format of tokenizer.json.
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
            tokenizer = f"tokenizer with {self.pieces:,} tokens, sha256 {self.tokenizer_sha256}"
        return (
            f"{self.name}: {self.repo}{at}: {self.tensors} tensors, {self.parameters:,} parameters, all as "
            f"expected; {tokenizer}"
        )


def inspect(name: str, revision: str | None = None, tokenizer: str | None = None) -> Inspection:
    """Download and load a checkpoint, and verify its tensors and parameter count.

    Args:
        name: a preset, a hub id or a folder.
        revision: git revision on the hub; by default the preset's.
        tokenizer: a file, a folder or a hub id; by default the preset's.

    Raises:
        FileNotFoundError: weights or tokenizer are missing.
        ValueError: a tensor is missing, unknown or of a wrong shape, or the parameter count is wrong.
    """
    checkpoint = fetch(name, revision)
    load_weights(OpenELMForCausalLM, checkpoint.folder)
    shapes = stored_shapes(checkpoint.folder)
    parameters = sum(math.prod(shape) for shape in shapes.values())
    _check_counts(name, checkpoint, parameters)
    preset = find_preset(name)
    wanted = tokenizer or (preset.tokenizer if preset else None)
    if wanted is None and preset is not None and preset.llama:
        wanted = str(checkpoint.folder)
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
            f"{checkpoint.repo or checkpoint.folder} has {parameters:,} parameters; expected {expected:,} "
            f"for {name}; if it is another model, use its hub id or folder"
        )
