"""Finds the files of a model in a folder, or downloads them with huggingface_hub and its cache.

Code and pickle files of a repository are never downloaded.
"""

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from ..presets import Preset, find_preset

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model")
MODEL_FILES = ("config.json", "model*.safetensors", INDEX, *_TOKENIZER_FILES)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The local files of a model and their origin.

    Attributes:
        folder: the local folder.
        repo: hub id, or the URL of the folder; None for a local folder.
        commit: git commit on the hub; None for other folders.
    """

    folder: Path
    repo: str | None = None
    commit: str | None = None


def fetch(name: str, revision: str | None = None) -> Checkpoint:
    """Find the files of a preset, a hub id or a local folder, and download them if necessary.

    A preset takes precedence over a folder of the same name.

    Args:
        name: a preset such as openelm-270m, a hub id such as apple/OpenELM-270M, or a folder.
        revision: git revision on the hub; by default the preset's.

    Raises:
        FileNotFoundError: the folder does not exist, or the hub is unreachable or lacks the repository, the
            revision or safetensors files.
        ValueError: `name` is not a preset, hub id or folder, the preset has no published weights, or a
            revision is given for a folder.
    """
    preset, folder = find_preset(name), Path(name).expanduser()
    if preset is None and folder.is_dir():
        if revision is not None:
            raise ValueError(f"{name} is a folder and has no revision {revision!r}; omit --model.revision")
        return Checkpoint(folder=folder.resolve())  # jobs have another working directory
    repo = _repository(name, preset)
    wanted = revision or (preset.revision if preset else "main")
    folder = download(repo, wanted, MODEL_FILES, "--model.name")
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(
            f"{repo} at revision {wanted} has no {WEIGHTS}. Pickled weights are refused, because loading "
            "them can run code; set --model.revision to a revision with safetensors, or convert the weights "
            "in an isolated environment and set --model.name to the folder"
        )
    return Checkpoint(folder=folder, repo=repo, commit=folder.name)


def fetch_tokenizer(name: str) -> Path:
    """The path of a tokenizer: the file or folder `name`, or a download of a repository's tokenizer files.

    Raises:
        FileNotFoundError: `name` does not exist locally or on the hub, or the hub is unreachable.
    """
    if Path(name).expanduser().exists():
        return Path(name).expanduser()
    return download(_repository(name, None), "main", _TOKENIZER_FILES, "--model.tokenizer")


def _repository(name: str, preset: Preset | None) -> str:
    if preset is not None:
        if preset.repo is None:
            raise ValueError(
                f"{name} has no published weights: it is trained from scratch; expected an openelm-* preset, "
                "a hub id or a folder"
            )
        return preset.repo
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise FileNotFoundError(f"the folder {name} does not exist; expected a folder, a preset or a hub id")
    return name


def download(repo: str, revision: str, files: tuple[str, ...], setting: str | None) -> Path:
    """Download files of a repository into the hub's cache, unless they are there.

    Args:
        repo: hub id.
        revision: git revision.
        files: patterns of file names.
        setting: the flag that named the repository, for messages; None in Python.

    Raises:
        FileNotFoundError: the hub is unreachable, or lacks the repository or the revision.
    """
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except Exception as error:  # of the hub client or of its HTTP library
        raise FileNotFoundError(
            f"cannot download {repo} at revision {revision} from the model hub at {constants.ENDPOINT}: "
            f"{type(error).__name__}: {shorten(str(error), 300, placeholder=' …')}\n"
            f"{_advice(error, repo, setting)}"
        ) from error


def _advice(error: Exception, repo: str, setting: str | None) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, RevisionNotFoundError):
        revision = "--model.revision" if setting else "version"
        return f"The repository has no such revision; omit {revision} to use the newest"
    if isinstance(error, GatedRepoError):
        return f"Request access on the page of {repo}, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return f"Check the spelling of {_typed(setting, repo)}; if it is private, log in with `hf auth login`"
    return (
        f"If this machine has no internet access, download it on another machine with `hf download {repo} "
        f"--local-dir DIR` and {f'set {setting} DIR' if setting else 'load that folder'}"
        + (", or use random weights with --model.init random" if setting == "--model.name" else "")
    )


def _typed(setting: str | None, repo: str) -> str:
    return f"{setting} {repo}" if setting else repo
