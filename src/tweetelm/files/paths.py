"""Paths and URLs from the command line, interpreted in the same way by all commands."""

from pathlib import Path


def is_url(place: str) -> bool:
    """Whether `place` is a URL, not a path."""
    return "://" in place


def expanded(place: str) -> str:
    """Replace `~` and `~user` at the start of a path; a shell does not expand them after `--flag=`.

    Raises:
        ValueError: the user or the home folder is unknown.
    """
    if is_url(place) or not place.startswith("~"):
        return place
    try:
        return str(Path(place).expanduser())
    except RuntimeError as error:
        raise ValueError(
            f"{place} names the home folder of an unknown user; expected ~/FOLDER or a path"
        ) from error


def located(place: str) -> str:
    """A URL without trailing slashes, or an absolute path for processes with another working directory."""
    return place.rstrip("/") if is_url(place) else str(Path(expanded(place)).resolve())
