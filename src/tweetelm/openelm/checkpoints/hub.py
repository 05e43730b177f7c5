"""Getting a model's files: from a folder, or through the ordinary hub client and its cache.

Code and pickles that a repository may hold are never asked for.
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
    """A model's files on this machine, and where they came from: `repo` and `commit` are None for a local
    folder. Whoever fetched the folder from elsewhere may set `repo` to its URL."""

    folder: Path
    repo: str | None = None
    commit: str | None = None


def fetch(name: str, revision: str | None = None) -> Checkpoint:
    """The files of a preset, a hub id or a local folder. A preset's name means the preset, even where a
    folder has the same name.

    Args:
        name: a preset such as openelm-270m, a hub id such as apple/OpenELM-270M, or a folder.
        revision: git revision on the hub; by default the preset's.

    Raises:
        FileNotFoundError: the hub cannot be reached, has no such repository or revision, or holds no
            safetensors there; there is no such folder.
        ValueError: `name` is no preset, hub id or folder; a preset without published weights; a folder with
            a revision.
    """
    preset, here = find_preset(name), Path(name).expanduser()
    if preset is None and here.is_dir():
        if revision is not None:
            raise ValueError(
                f"{name} is a folder and has no revision {revision!r}; leave out --model.revision"
            )
        return Checkpoint(folder=here.resolve())  # jobs read it from another working directory
    repo = _repository(name, preset)
    wanted = revision or (preset.revision if preset else "main")
    folder = _download(repo, wanted, MODEL_FILES, "--model.name")
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(
            f"{repo} at revision {wanted} has no {WEIGHTS}. Pickled weights, if it has those, can run code "
            "when loaded and are refused; name a revision with safetensors by --model.revision, or convert "
            "them in a place you trust and pass the folder as --model.name"
        )
    return Checkpoint(folder=folder, repo=repo, commit=folder.name)


def fetch_tokenizer(name: str) -> Path:
    """The file or folder `name`, or the folder of a hub repository's tokenizer files, without its weights.

    Raises:
        FileNotFoundError: it is neither, or the hub cannot be reached.
    """
    if Path(name).expanduser().exists():
        return Path(name).expanduser()
    return _download(_repository(name, None), "main", _TOKENIZER_FILES, "--model.tokenizer")


def _repository(name: str, preset: Preset | None) -> str:
    if preset is not None:
        if preset.repo is None:
            raise ValueError(f"{name} has no published weights; it is trained from scratch")
        return preset.repo
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise FileNotFoundError(f"there is no folder {name}; expected a folder, a preset or a hub id")
    return name


def _download(repo: str, revision: str, files: tuple[str, ...], flag: str) -> Path:
    from huggingface_hub import constants, snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except Exception as error:  # the hub's own, or whatever its HTTP library raises: the advice is the same
        raise FileNotFoundError(
            f"could not get {repo} at revision {revision} from the model hub at {constants.ENDPOINT}: "
            f"{type(error).__name__}: {shorten(str(error), 300, placeholder=' …')}\n"
            f"{_advice(error, repo, flag)}"
        ) from error


def _advice(error: Exception, repo: str, flag: str) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, RevisionNotFoundError):
        return "The repository has no such revision; leave out --model.revision to take its newest"
    if isinstance(error, GatedRepoError):
        return f"Ask for access on the page of {repo}, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return f"Check the spelling of {flag} {repo}; if it is private, log in with `hf auth login`"
    return (
        f"If this machine has no internet, download it elsewhere with `hf download {repo} --local-dir DIR` "
        f"and pass {flag} DIR"
        + ("" if flag == "--model.tokenizer" else ", or start from random weights with --model.init random")
    )
