"""The code that trained a model: the git commit, and the versions of the libraries."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from tweetelm.version import __version__

LIBRARIES = ("torch", "transformers", "ray", "tokenizers", "datasets")


class Git(TypedDict):
    """The commit of the training code; dirty if files differed from it."""

    commit: str
    dirty: bool


def library_versions() -> dict[str, str]:
    """Versions of Python, tweetelm and the libraries that affect results; omits libraries not installed."""
    installed = {}
    for name in LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed | {"tweetelm": __version__, "python": platform.python_version()}


def git_state(folder: Path) -> Git | None:
    """The commit of the git checkout that contains `folder`, and whether files differ from it.

    None outside a checkout, and in a folder without tracked files, such as an unpacked ZIP file.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files", "."):
        return None
    return Git(commit=commit, dirty=bool(_git(folder, "status", "--porcelain")))


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # git is not installed or cannot run
        return None
    return result.stdout.strip() if result.returncode == 0 else None
