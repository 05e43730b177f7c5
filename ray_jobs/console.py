"""Errors and paths as a person at a terminal, or reading a job's log, wants them."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

_OURS = (ValueError, FileNotFoundError, FloatingPointError, ConnectionError, OSError)


@contextlib.contextmanager
def refuse() -> Iterator[None]:
    """Turn an error that explains itself into its message and exit status 2; let a bug show its trace."""
    try:
        yield
    except _OURS as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command again goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def typed(place: str) -> str:
    """A path as one would type it here."""
    return place.removeprefix(f"{Path.cwd()}/")
