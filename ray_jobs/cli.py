"""Errors, flags and paths as a person at a terminal, or reading a job's log, wants them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tweetelm.cli import command
from tweetelm.cli.command import told as refuse
from tweetelm.cli.service_startup import RAY_PATIENCE, ensure_open_files

__all__ = ["USUAL", "refuse", "run", "typed"]

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


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a job's `main` and end the process with its status. Some of what Ray waits for it reads when it is
    imported, which is before `connect`."""

    def prepared() -> int | None:
        if "RAY_ADDRESS" not in os.environ:
            ensure_open_files()
            for key, value in RAY_PATIENCE.items():
                os.environ.setdefault(key, value)
        return main()

    command.run(prepared)


def typed(place: str) -> str:
    """A path as one would type it here."""
    return place.removeprefix(f"{Path.cwd()}/")
