"""Builds the classifier before its first step, identical on every worker."""

import copy
from pathlib import Path
from typing import Any

import torch

from tweetelm.config.train_config import TrainConfig
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.attention import VARLEN
from tweetelm.openelm.checkpoints.hub import Checkpoint, fetch
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.tasks import Task
from tweetelm.training.adapters import add_adapters
from tweetelm.training.base_model import localize
from tweetelm.training.head_reuse import HEAD
from tweetelm.training.prepare import Prepared
from tweetelm.training.state import TrainingState


def build_state(config: TrainConfig, prepared: Prepared, device: torch.device) -> TrainingState:
    """Build the classifier on `device`, at step 0.

    Raises:
        FileNotFoundError: the base model's files are not on this machine and cannot be downloaded.
        ValueError: the base model's files are damaged.
    """
    settings = _classifier_settings(config, config.task)
    torch.manual_seed(config.loop.seed)
    if prepared.base is None:
        architecture = copy.deepcopy(prepared.architecture)
        for key, value in settings.items():
            setattr(architecture, key, value)
        model = OpenELMForSequenceClassification._from_config(architecture, attn_implementation=VARLEN)
    else:
        replaced = [HEAD] if prepared.head else []
        model = load_weights(
            OpenELMForSequenceClassification,
            _local_folder(prepared.base),
            new=[HEAD],
            replaced=replaced,
            layers=config.model.layers,
            **settings,
        )
    model.to(device)
    if config.model.activation_checkpointing:
        # transformers 5.23 renamed the method; both names use non-reentrant checkpointing
        (getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable)()
    if config.optim.mode == "lora":
        add_adapters(model, config.optim)
    return TrainingState(model=model)


def _classifier_settings(config: TrainConfig, task: Task) -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(task.labels)),
        "label2id": {label: index for index, label in enumerate(task.labels)},
        "problem_type": "single_label_classification",
        "classifier_pooling": config.model.pooling,
        "classifier_dropout": config.model.dropout,
        "pad_token_id": None,
    }


def _local_folder(base: Checkpoint) -> Path:
    """The checkpoint's folder on this machine, which may differ from the machine that prepared the run."""
    if base.folder.is_dir():
        return base.folder
    if base.repo is None:
        raise FileNotFoundError(
            f"the base model's folder {base.folder} does not exist on this machine; copy it to storage that "
            "every node of the cluster can read, and set --model.name to that path"
        )
    return fetch(localize(base.repo), base.commit).folder
