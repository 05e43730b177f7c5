"""Imports a Llama checkpoint as an OpenELM one: `python -m tweetelm.openelm import SOURCE --to FOLDER`."""

import json
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from tweetelm.files.atomic import commit, staging_dir

from ..modeling_openelm import OpenELMForCausalLM
from .gguf_file import read_gguf
from .llama_mapping import convert, openelm_config
from .llama_source import LlamaSource, read_folder
from .tokenizer import bos_token, save_tokenizer, with_bos

ORIGIN_FILE = "origin.json"
"""Written into the folder: `base` (name), `sha256` of the source's weights, `quantization`, and, if they are
known, `file`, `license`, `repository` and `revision`."""
_SEPARATOR = "<|endoftext|>"


def import_llama(source: Path, folder: Path, *, start: str | None = None, **origin: str) -> None:
    """Write the OpenELM checkpoint with the weights and the tokenizer of a Llama model.

    Args:
        source: a GGUF file, or a folder of a `LlamaForCausalLM` with safetensors files and a tokenizer.
        folder: the new folder.
        start: the token that starts a text. Default: the one that the tokenizer prepends, else
            `<|endoftext|>`, which separates documents in pretraining, else the tokenizer's BOS.
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
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    with staging_dir(folder) as staging:
        model.save_pretrained(staging, max_shard_size="100GB")
        kept = {key: opened.named[key] for key in ("eos_token", "chat_template") if key in opened.named}
        save_tokenizer(tokenizer, staging, config.max_context_length, **kept)
        (staging / ORIGIN_FILE).write_text(json.dumps(opened.origin | origin, indent=2) + "\n")
        if not commit(staging, folder):
            raise FileExistsError(f"{folder} exists; expected the name of a new folder")


def _open(source: Path) -> LlamaSource:
    if source.is_dir():
        return read_folder(source)
    if not source.is_file():
        raise FileNotFoundError(f"{source} does not exist; expected a GGUF file or a checkpoint's folder")
    return read_gguf(source)


def _start(opened: LlamaSource, wanted: str | None, source: Path) -> str:
    """The token that starts a text."""
    prepended = opened.named.get("bos_token") if opened.prepends_bos else None
    choices = (
        [wanted]
        if wanted
        else [bos_token(opened.tokenizer), prepended, _SEPARATOR, opened.named.get("bos_token")]
    )
    for token in choices:
        if token and opened.tokenizer.token_to_id(token) is not None:
            return token
    raise ValueError(
        f"{source} has no token {wanted!r}"
        if wanted
        else f"{source} does not name the token that starts a text; name one with --start-token"
    )
