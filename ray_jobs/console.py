"""Errors, flags and paths as a person at a terminal, or reading a job's log, wants them."""

from pathlib import Path

from tweetelm.cli import told as refuse

__all__ = ["USUAL", "refuse", "typed"]

# Of a training run's settings, those that its short help explains.
USUAL = (
    "data.root",
    "model.name",
    "model.tokenizer",
    "optim.lr",
    "loop.epochs",
    "loop.batch-tokens",
    "run.workers",
    "run.storage",
    "run.registry",
)


def typed(place: str) -> str:
    """A path as one would type it here."""
    return place.removeprefix(f"{Path.cwd()}/")
