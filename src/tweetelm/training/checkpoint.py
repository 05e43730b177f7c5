"""Writes a checkpoint: the state of a run, its tokenizer and its text settings."""

from pathlib import Path
from typing import Any

from tweetelm.config.train_config import TrainConfig
from tweetelm.encoding import Encoder
from tweetelm.files.origin import write_origin
from tweetelm.openelm.checkpoints.tokenizer import load_tokenizer
from tweetelm.training.prepare import Prepared
from tweetelm.training.state import TrainingState


def save_checkpoint(
    folder: Path, state: TrainingState, config: TrainConfig, prepared: Prepared, metrics: dict[str, Any]
) -> None:
    """Write a checkpoint that `Predictor.load` reads and a run resumes from.

    `metrics` are recorded with the configuration's identity and the hash of the data.
    """
    extra = {"identity": config.identity, "data": prepared.provenance.md5, "metrics": metrics}
    state.save(folder, extra)
    if prepared.origin:
        write_origin(folder, prepared.origin)
    tokenizer_file = folder / "tokenizer.json"
    tokenizer_file.write_text(prepared.tokenizer, encoding="utf-8")
    tokenizer = load_tokenizer(tokenizer_file)
    encoder = Encoder(tokenizer=tokenizer, text=config.text, max_tokens=config.model.max_tokens)
    encoder.save(folder, config.task)
