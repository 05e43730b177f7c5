"""Finds the base model of a run: pretrained weights, tokenizer and architecture."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tweetelm.config.train_config import ModelConfig, TrainConfig
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import expanded, is_url
from tweetelm.openelm import OpenELMConfig
from tweetelm.openelm.checkpoints.first_layers import keep_first_layers
from tweetelm.openelm.checkpoints.hub import (
    MODEL_FILES,
    Checkpoint,
    fetch,
    fetch_preset_tokenizer,
    fetch_tokenizer,
)
from tweetelm.openelm.checkpoints.inspection import Inspection, inspect
from tweetelm.openelm.checkpoints.loading import read_config
from tweetelm.openelm.checkpoints.tokenizer import (
    SENTENCEPIECE_FILE,
    TOKENIZER_FILE,
    load_tokenizer,
    train_tokenizer,
)
from tweetelm.openelm.presets import Preset, find_preset, preset_config
from tweetelm.text.normalize import normalize
from tweetelm.training.head_reuse import head_mismatch


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """The base model of a run.

    Attributes:
        checkpoint: the pretrained weights; None if weights are random, or if the run is only planned.
        tokenizer: has at most as many tokens as the architecture has embeddings.
        architecture: the model's configuration, without the classifier's settings.
        head: why the checkpoint's classifier cannot be reused; empty if it can, or if there is none.
    """

    checkpoint: Checkpoint | None
    tokenizer: Tokenizer
    architecture: OpenELMConfig
    head: str


def find_base_model(config: TrainConfig, texts: Sequence[str], *, weights: bool = True) -> BaseModel:
    """Find, download and check the model of `config.model`.

    Args:
        config: the run's configuration.
        texts: training texts; the tokenizer of a scratch model is trained on them.
        weights: False to plan a run: pretrained weights are neither downloaded nor checked.

    Raises:
        FileNotFoundError: weights or tokenizer are missing.
        ValueError: weights or tokenizer are damaged or do not match each other, or `--model.max-tokens` or
            `--model.layers` exceeds the model's.
    """
    name, preset = config.model.name, find_preset(config.model.name)
    found = find_weights(config) if weights and not config.model.random else None
    folder = found.folder if found else Path(localize(name)) if preset is None else None
    tokenizer = _tokenizer(config, preset, folder, texts)
    return BaseModel(
        checkpoint=found,
        tokenizer=tokenizer,
        architecture=_architecture(config, folder, tokenizer.get_vocab_size()),
        head=head_mismatch(found.folder, config.task, config.model.layers) if found else "",
    )


def localize(name: str) -> str:
    """The path of a local copy if `name` is a URL (downloaded once per machine); else `name` unchanged.

    Raises:
        FileNotFoundError: there are no model files at the URL.
    """
    if not is_url(name):
        return name
    if name.endswith((TOKENIZER_FILE, SENTENCEPIECE_FILE)):
        folder, file = name.rsplit("/", 1)
        return str(cached(folder, (file,)) / file)
    return str(cached(name.rstrip("/"), MODEL_FILES))


def inspect_base_model(name: str, tokenizer: str | None = None) -> Inspection:
    """Download and check a base model without training it.

    Args:
        name: a preset, a hub id, a folder or a URL.
        tokenizer: a file, a folder, a hub id or a URL; None for the model's own.

    Raises:
        FileNotFoundError: weights or tokenizer are missing.
        ValueError: weights or tokenizer are damaged, or do not match the preset.
    """
    own = None if tokenizer is None else localize(expanded(tokenizer))
    return inspect(localize(expanded(name)), tokenizer=own)


def find_weights(config: TrainConfig) -> Checkpoint:
    """The checkpoint that `--model.name` names, downloaded if necessary.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: it is damaged.
    """
    name, revision = config.model.name, config.model.revision
    found = fetch(localize(name), revision)
    return dataclasses.replace(found, repo=name) if is_url(name) else found


def _tokenizer(
    config: TrainConfig, preset: Preset | None, folder: Path | None, texts: Sequence[str]
) -> Tokenizer:
    """The first that exists: `--model.tokenizer`, the folder's own, the one in the preset's hub repository.

    A scratch preset has none of these; its tokenizer is trained on `texts`.
    """
    model = config.model
    if model.tokenizer is not None:
        return load_tokenizer(fetch_tokenizer(localize(model.tokenizer)))
    if folder is not None and any((folder / name).is_file() for name in (TOKENIZER_FILE, SENTENCEPIECE_FILE)):
        return load_tokenizer(folder)
    if preset is None:
        raise FileNotFoundError(
            f"{model.name} has no tokenizer; name one with --model.tokenizer (OpenELM uses Llama's)"
        )
    if preset.tokenizer is not None or preset.llama:
        return fetch_preset_tokenizer(preset, model.revision)
    size = preset.config["vocab_size"]
    return train_tokenizer((normalize(text, config.text) for text in texts), size)


def _architecture(config: TrainConfig, folder: Path | None, vocabulary: int) -> OpenELMConfig:
    """The model's configuration, if it suits the tokenizer and `--model.max-tokens`."""
    found = first_layers(config.model, folder)
    if config.model.scratch:
        found.vocab_size = vocabulary
    if vocabulary > found.vocab_size:
        raise ValueError(
            f"the tokenizer has {vocabulary} tokens, but {config.model.name} has only {found.vocab_size} "
            "embeddings; set --model.tokenizer to the tokenizer that the model was trained with"
        )
    if config.model.max_tokens > found.max_context_length:
        raise ValueError(
            f"model.max_tokens is {config.model.max_tokens}, but {config.model.name} reads at most "
            f"{found.max_context_length} tokens; lower --model.max-tokens"
        )
    return found


def first_layers(model: ModelConfig, folder: Path | None = None) -> OpenELMConfig:
    """The configuration in `folder`, or the preset's, reduced to the first `--model.layers` layers.

    Raises:
        ValueError: the model has fewer layers.
    """
    found = read_config(folder) if folder is not None and folder.is_dir() else preset_config(model.name)
    total = found.num_transformer_layers
    if model.layers is not None and model.layers > total:
        raise ValueError(
            f"model.layers is {model.layers}, but {model.name} has {total} layers; expected 1 to {total}, or "
            "omit --model.layers to use all"
        )
    if model.layers is not None:
        keep_first_layers(found, model.layers)
    return found
