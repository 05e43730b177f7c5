"""Folders and URLs as people type them: the same words mean the same place to every command and flag."""

from pathlib import Path


def is_url(place: str) -> bool:
    """Whether it is elsewhere, and no folder's name."""
    return "://" in place


def expanded(place: str) -> str:
    """With `~` and `~user` replaced, as a shell does where it can: not after `--flag=`.

    Raises:
        ValueError: there is no such user, or no home.
    """
    if is_url(place) or not place.startswith("~"):
        return place
    try:
        return str(Path(place).expanduser())
    except RuntimeError as error:
        raise ValueError(
            f"{place} names the home of a user who is not known here; expected ~/FOLDER or a path"
        ) from error


def located(place: str) -> str:
    """A URL without a slash at its end; a folder as an absolute path, for processes that have another working
    directory."""
    return place.rstrip("/") if is_url(place) else str(Path(expanded(place)).resolve())
