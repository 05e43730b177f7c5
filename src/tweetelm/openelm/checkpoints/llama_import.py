"""Imports a Llama checkpoint as an OpenELM one: `python -m tweetelm.openelm import SOURCE --to FOLDER`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from tweetelm.files.atomic import commit, staging_dir
from tweetelm.files.origin import write_origin

from ..modeling_openelm import OpenELMForCausalLM
from .gguf_file import read_gguf
from .llama_mapping import convert, openelm_config
from .llama_source import LlamaSource, read_folder
from .tokenizer import load_tokenizer, save_tokenizer, start_token, with_bos


def import_llama(source: Path, folder: Path, *, start: str | None = None, **origin: str) -> None:
    """Write the OpenELM checkpoint with the weights and the tokenizer of a Llama model.

    Args:
        source: a GGUF file, or a folder of a `LlamaForCausalLM` with safetensors files and a tokenizer.
        folder: the new folder.
        start: the token that starts a text. Default: see `start_token`.
        origin: entries of origin.json, instead of those found in the source.

    Raises:
        FileNotFoundError: `source` or one of its files is missing.
        FileExistsError: `folder` exists.
        ValueError: a file is damaged, or the model has a feature that OpenELM lacks.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists; expected the name of a new folder")
    opened = _open(source)
    bos, end = _start(opened, start, source), opened.named.get("eos_token")
    tokenizer = with_bos(opened.tokenizer, bos)
    ids = tokenizer.get_vocab()
    config = openelm_config(opened.config, bos=ids[bos], eos=ids.get(end) if end else None)
    disable_progress_bar()  # transformers shows one per file
    tensors = convert(opened.config, opened.names, opened.read)
    with torch.device("meta"):
        model = OpenELMForCausalLM(config)
    _check_shapes(source, model.state_dict(), tensors)
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    with staging_dir(folder) as staging:
        model.save_pretrained(staging, max_shard_size="100GB")
        kept = {key: opened.named[key] for key in ("eos_token", "chat_template") if key in opened.named}
        save_tokenizer(tokenizer, staging, config.max_context_length, **kept)
        write_origin(staging, opened.origin | origin)
        if not commit(staging, folder):
            raise FileExistsError(f"{folder} exists; expected the name of a new folder")


def _open(source: Path) -> LlamaSource:
    if source.is_dir():
        return read_folder(source)
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist; expected a GGUF file or a checkpoint's folder")
    return read_gguf(source)


def load_llama_tokenizer(source: Path) -> Tokenizer:
    """The tokenizer of a GGUF file, or of a folder with at least the tokenizer's files, as an import has it.

    Raises:
        FileNotFoundError: `source` does not exist.
        ValueError: the tokenizer is damaged or cannot be converted.
    """
    if source.is_dir():
        return load_tokenizer(source)
    opened = _open(source)
    return with_bos(opened.tokenizer, _start(opened, None, source))


def _start(opened: LlamaSource, wanted: str | None, source: Path) -> str:
    """The token that starts a text."""
    if wanted is not None and opened.tokenizer.token_to_id(wanted) is None:
        raise ValueError(f"{source} has no token {wanted!r}; expected a token of its vocabulary")
    start = wanted or start_token(opened.tokenizer, opened.named.get("bos_token"))
    if start is None:
        raise ValueError(f"{source} does not name the token that starts a text; name one with --start-token")
    return start


def _check_shapes(source: Path, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{source}: {name} has the shape {list(tensor.shape)}; expected {list(expected[name].shape)} "
                "by its configuration; copy or download the checkpoint again"
            )
