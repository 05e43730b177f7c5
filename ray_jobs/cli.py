"""Error messages, flags and paths for users at a terminal or in a job's log."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tweetelm.cli import command
from tweetelm.cli.command import told as refuse
from tweetelm.cli.ray_startup import RAY_PATIENCE, ensure_open_files

__all__ = ["USUAL", "refuse", "run", "typed"]

# Training settings that the short --help explains.
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
    """Run a job's `main` and exit with its status.

    Ray reads some timeouts when it is imported, which is before `connect`, so they are set here.
    """

    def prepared() -> int | None:
        if "RAY_ADDRESS" not in os.environ:
            ensure_open_files()
            for key, value in RAY_PATIENCE.items():
                os.environ.setdefault(key, value)
        return main()

    command.run(prepared)


def typed(path: str) -> str:
    """Return a path relative to the working directory, if it is inside."""
    return path.removeprefix(f"{Path.cwd()}/")
