"""A Llama checkpoint to import: its configuration, tensors and tokenizer, from a folder or a GGUF file."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaConfig

from tweetelm.files.origin import UNKNOWN_LICENSE

from .tokenizer import named_tokens, read_any_tokenizer
from .weight_files import read_json, stored_shapes, weight_files, weights_sha256


@dataclass(frozen=True, kw_only=True)
class LlamaSource:
    """An opened Llama checkpoint.

    Attributes:
        config: its configuration.
        names: names of its tensors, as in transformers; unknown ones as they are stored.
        read: returns a tensor by its name.
        tokenizer: its tokenizer.
        named: tokens and templates by their key in tokenizer_config.json, such as `eos_token`.
        origin: description for the model card, see `origin.json` in `llama_import`.
    """

    config: LlamaConfig
    names: Collection[str]
    read: Callable[[str], Tensor]
    tokenizer: Tokenizer
    named: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)


def read_folder(folder: Path) -> LlamaSource:
    """Open a folder with config.json, safetensors files and a tokenizer.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or the model is not a `LlamaForCausalLM`.
    """
    values = read_json(folder / "config.json")
    kind = values.get("architectures") or [values.get("model_type")]
    if values.get("model_type") != "llama" or kind not in (["LlamaForCausalLM"], ["llama"]):
        raise ValueError(f"{folder / 'config.json'} is of a {kind[0]!r} model; expected 'LlamaForCausalLM'")
    shapes = stored_shapes(folder)
    files: dict[str, Path] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            files |= dict.fromkeys(file.keys(), path)

    def read(name: str) -> Tensor:
        with safe_open(files[name], framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor

    return LlamaSource(
        config=llama_config(folder / "config.json", values),
        names=shapes.keys(),
        read=read,
        tokenizer=read_any_tokenizer(folder),
        named=named_tokens(folder),
        origin={
            "base": folder.name,
            "sha256": weights_sha256(folder),
            "quantization": "none",
            "license": UNKNOWN_LICENSE,
        },
    )


def llama_config(path: Path, values: dict[str, Any]) -> LlamaConfig:
    """Build a configuration from the values in a file.

    Raises:
        ValueError: they are not a Llama configuration.
    """
    try:
        return LlamaConfig.from_dict(values)
    except (ValueError, TypeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not a Llama configuration: {reason}") from error
