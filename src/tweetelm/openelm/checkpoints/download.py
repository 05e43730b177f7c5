"""Downloads files of a repository on the hub with huggingface_hub and its cache.

Code and pickle files of a repository are never downloaded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from textwrap import shorten

_local_only = ContextVar("local_only", default=False)


@contextmanager
def without_downloads() -> Iterator[None]:
    """Within the block, `download` finds only what is in the cache already."""
    token = _local_only.set(True)
    try:
        yield
    finally:
        _local_only.reset(token)


def download(
    repo: str,
    revision: str,
    files: tuple[str, ...],
    setting: str | None,
    revision_flag: str = "--model.revision",
) -> Path:
    """Download files of a repository into the hub's cache, unless they are there.

    Args:
        repo: hub id.
        revision: git revision.
        files: patterns of file names.
        setting: the flag that named the repository, for messages; None if it was an argument.
        revision_flag: the flag or argument that named the revision.

    Raises:
        FileNotFoundError: the hub is unreachable, or lacks the repository or the revision.
    """
    from huggingface_hub import constants, snapshot_download

    try:
        found = snapshot_download(
            repo, revision=revision, allow_patterns=list(files), local_files_only=_local_only.get()
        )
        return Path(found)
    except Exception as error:  # of the hub client or of its HTTP library
        raise FileNotFoundError(
            f"cannot download {repo} at revision {revision} from the model hub at {constants.ENDPOINT}: "
            f"{type(error).__name__}: {shorten(str(error), 300, placeholder=' …')}\n"
            f"{_advice(error, repo, setting, revision_flag)}"
        ) from error


def _advice(error: Exception, repo: str, setting: str | None, revision_flag: str) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, RevisionNotFoundError):
        return f"The repository has no such revision; omit {revision_flag} to use the newest"
    if isinstance(error, GatedRepoError):
        return f"Request access on the page of {repo}, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return f"Check the spelling of {_typed(setting, repo)}; if it is private, log in with `hf auth login`"
    return (
        f"If this machine has no internet access, download it on another machine with `hf download {repo} "
        f"--local-dir DIR` and {f'set {setting} DIR' if setting else 'use that folder'}"
        + (", or use random weights with --model.init random" if setting == "--model.name" else "")
    )


def _typed(setting: str | None, repo: str) -> str:
    return f"{setting} {repo}" if setting else repo
