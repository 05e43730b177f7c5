"""From a configuration to something that can be trained: rows, tokenizer, model."""

import dataclasses
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer

from tweetelm.config.train_config import TrainConfig
from tweetelm.data import Provenance, hold_out, load, provenance, training_rows
from tweetelm.encoding import Encoder
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import is_url
from tweetelm.openelm import OpenELMConfig, OpenELMForSequenceClassification
from tweetelm.openelm.attention import VARLEN
from tweetelm.openelm.checkpoints.hub import MODEL_FILES, Checkpoint, fetch, fetch_tokenizer
from tweetelm.openelm.checkpoints.loading import load_weights, read_config
from tweetelm.openelm.checkpoints.tokenizer import (
    SENTENCEPIECE_FILE,
    TOKENIZER_FILE,
    load_tokenizer,
    train_tokenizer,
)
from tweetelm.openelm.presets import find_preset, preset_config
from tweetelm.tasks import TASKS, Task
from tweetelm.text.normalize import normalize
from tweetelm.training.adapters import add_adapters
from tweetelm.training.label_heads import HEAD, head_mismatch
from tweetelm.training.rows import Rows
from tweetelm.training.state import TrainingState


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the workers need, made once before any of them starts.

    `tokenizer` is the text of a tokenizer.json; `left_out` counts training rows that were dropped, by reason;
    `head` says why the base's classifier is replaced by a new one, and is empty if it is not.
    """

    train: Rows
    validation: Rows
    tokenizer: str
    provenance: Provenance
    left_out: dict[str, int]
    base: Checkpoint | None
    head: str = ""

    def shape(self, config: TrainConfig) -> OpenELMConfig:
        """The model's configuration, see `architecture`."""
        return architecture(config, self.base, Tokenizer.from_str(self.tokenizer))


def prepare(config: TrainConfig, *, weights: bool = True) -> Prepared:
    """Read and check the data, get tokenizer and weights, encode. Without `weights`, to plan a run, published
    ones are neither fetched nor checked.

    Raises:
        FileNotFoundError: data, weights or tokenizer are not there.
        ValueError: one of them is damaged or does not fit the others.
    """
    task = TASKS[config.task]
    dataset = hold_out(load(task, config.data.root), config.data.hold_out)
    train, left_out = training_rows(dataset, drop_overlap=config.data.drop_overlap, text=config.text)
    train = _choose(train, config)
    _see_all_labels(train, task, config)
    wanted = weights and not config.model.random
    base = find_weights(config) if wanted else None
    tokenizer = find_tokenizer(config, base, train["text"])
    architecture(config, base, tokenizer)  # refuses a tokenizer that does not fit, before anything starts
    encoder = Encoder(tokenizer=tokenizer, text=config.text, max_tokens=config.model.max_tokens)
    validation = dataset["validation"]
    return Prepared(
        train=Rows.of(encoder.encode(train["text"]), _labels(train, config)),
        validation=Rows.of(encoder.encode(validation["text"]), validation["label"]),
        tokenizer=tokenizer.to_str(),
        provenance=provenance(task, config.data.root),
        left_out=left_out,
        base=base,
        head=head_mismatch(base.folder, task) if base else "",
    )


def _see_all_labels(train: Dataset, task: Task, config: TrainConfig) -> None:
    """Raise ValueError if nothing can be learned of a label: no row has it."""
    found = {int(label) for label in train["label"]}
    absent = [label for index, label in enumerate(task.labels) if index not in found]
    if absent:
        limit = f" of --data.limit {config.data.limit}" if config.data.limit else ""
        raise ValueError(
            f"none of the {len(train)} training rows{limit} in {config.data.root} is labeled "
            f"{', '.join(absent)}; a classifier needs rows of each of {', '.join(task.labels)}: look at them "
            f"with `python -m tweetelm.data check {task.name} --root {shlex.quote(config.data.root)}`"
        )


def _choose(train: Dataset, config: TrainConfig) -> Dataset:
    limit = config.data.limit
    if limit is None or limit >= len(train):
        return train
    return train.select(np.random.default_rng(config.loop.seed).permutation(len(train))[:limit])


def _labels(train: Dataset, config: TrainConfig) -> list[int]:
    labels = np.asarray(train["label"])
    if config.data.shuffle_labels:
        labels = np.random.default_rng(config.loop.seed).permutation(labels)
    return [int(label) for label in labels]


def localize(name: str) -> str:
    """What `openelm.hub` understands: a model or tokenizer behind a URL is fetched first, once per machine.

    Raises:
        FileNotFoundError: nothing that belongs to a model lies there.
    """
    if not is_url(name):
        return name
    if name.endswith((TOKENIZER_FILE, SENTENCEPIECE_FILE)):
        folder, file = name.rsplit("/", 1)
        return str(cached(folder, (file,)) / file)
    return str(cached(name.rstrip("/"), MODEL_FILES))


def find_weights(config: TrainConfig) -> Checkpoint:
    """The files of `--model.name`; raises what `fetch` and `named` do."""
    name, revision = config.model.name, config.model.revision
    found = fetch(localize(name), revision)
    return dataclasses.replace(found, repo=name) if is_url(name) else found


def find_tokenizer(config: TrainConfig, base: Checkpoint | None, texts: list[str]) -> Tokenizer:
    """`--model.tokenizer`, else the checkpoint's own, else the preset's hub repository, else one trained on
    `texts`."""
    model = config.model
    if model.tokenizer is not None:
        return load_tokenizer(fetch_tokenizer(localize(model.tokenizer)))
    preset = find_preset(model.name)
    own = base.folder if base is not None else Path(localize(model.name)) if preset is None else None
    if own is not None and any((own / name).is_file() for name in (TOKENIZER_FILE, SENTENCEPIECE_FILE)):
        return load_tokenizer(own)
    if preset is not None and preset.tokenizer is not None:
        return load_tokenizer(fetch_tokenizer(preset.tokenizer))
    if preset is None:
        raise FileNotFoundError(
            f"{model.name} has no tokenizer; name one with --model.tokenizer (OpenELM uses Llama's)"
        )
    pieces = preset.config["vocab_size"]
    return train_tokenizer((normalize(text, config.text) for text in texts), pieces)


def architecture(config: TrainConfig, base: Checkpoint | None, tokenizer: Tokenizer) -> OpenELMConfig:
    """The model's configuration, before it is made a classifier.

    Raises:
        ValueError: the tokenizer has more pieces than the model has embeddings, or tweets may be longer than
            its context.
    """
    found = _published(config.model.name, base)
    pieces = tokenizer.get_vocab_size()
    if config.model.scratch:
        found.vocab_size = pieces
    if pieces > found.vocab_size:
        raise ValueError(
            f"the tokenizer has {pieces} pieces, {config.model.name} only {found.vocab_size} embeddings; "
            "name the tokenizer it was trained with by --model.tokenizer"
        )
    if config.model.max_tokens > found.max_context_length:
        raise ValueError(
            f"model.max_tokens is {config.model.max_tokens}, but {config.model.name} reads at most "
            f"{found.max_context_length} tokens; lower --model.max-tokens"
        )
    return found


def _published(name: str, base: Checkpoint | None) -> OpenELMConfig:
    if base is not None:
        return read_config(base.folder)
    if find_preset(name) is None and Path(folder := localize(name)).is_dir():
        return read_config(Path(folder))  # a folder's shape with random weights
    return preset_config(name)


def _classifier(config: TrainConfig, task: Task) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(task.labels)),
        "label2id": {label: index for index, label in enumerate(task.labels)},
        "problem_type": "single_label_classification",
        "classifier_pooling": config.model.pooling,
        "classifier_dropout": config.model.dropout,
        "pad_token_id": None,
    }


def _at_hand(base: Checkpoint) -> Path:
    """The checkpoint's folder on this machine, which need not be the one that prepared the run.

    Raises:
        FileNotFoundError: a local folder is not on this machine; the hub cannot be reached.
    """
    if base.folder.is_dir():
        return base.folder
    if base.repo is None:
        raise FileNotFoundError(
            f"there is no folder {base.folder} on this machine; put it on storage that every machine of the "
            "cluster sees, and name that by --model.name"
        )
    return fetch(localize(base.repo), base.commit).folder


def build_state(config: TrainConfig, prepared: Prepared, device: torch.device) -> TrainingState:
    """The model before its first step, the same on every worker."""
    settings = _classifier(config, TASKS[config.task])
    torch.manual_seed(config.loop.seed)
    if prepared.base is None:
        shape = architecture(config, None, Tokenizer.from_str(prepared.tokenizer))
        for key, value in settings.items():
            setattr(shape, key, value)
        model = OpenELMForSequenceClassification._from_config(shape, attn_implementation=VARLEN)
    else:
        folder = _at_hand(prepared.base)
        replaced = [HEAD] if prepared.head else []
        model = load_weights(
            OpenELMForSequenceClassification, folder, new=[HEAD], replaced=replaced, **settings
        )
    model.to(device)
    if config.model.activation_checkpointing:
        # renamed in transformers 5.23; both recompute without reentrant autograd
        (getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable)()
    if config.optim.mode == "lora":
        add_adapters(model, config.optim)
    return TrainingState(model=model)
