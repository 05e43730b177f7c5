"""The base model of a run, for its card."""

import hashlib

from tweetelm.config.train_config import TrainConfig
from tweetelm.openelm.checkpoints.weight_files import weights_sha256
from tweetelm.registry.card import Base
from tweetelm.training.prepare import Prepared


def base_of(config: TrainConfig, start: Prepared) -> Base:
    """The base model of training, with SHA-256 hashes of its files."""
    model, base = config.model, start.base
    found = Base(
        name=model.name,
        init="scratch" if model.scratch else "random" if model.random else "pretrained",
        source=(base.repo or str(base.folder)) if base else "none",
        revision=base.commit if base else None,
        weights_sha256=weights_sha256(base.folder) if base and base.folder.is_dir() else None,
        tokenizer_sha256=hashlib.sha256(start.tokenizer.encode()).hexdigest(),
    )
    if start.head:
        found["head"] = start.head
    if start.teacher:
        found["teacher"] = start.teacher
    if start.origin:
        found["origin"] = start.origin
    return found
