"""Finds the files of a model in a folder, or downloads them. Llama checkpoints are imported once."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from tweetelm.files.origin import ORIGIN_FILE

from ..presets import Preset, find_preset
from .download import download
from .llama_import import load_llama_tokenizer
from .llama_presets import find_llama, import_once
from .tokenizer import TOKENIZER_FILES, load_tokenizer
from .weight_files import INDEX, WEIGHTS

MODEL_FILES = ("config.json", "model*.safetensors", INDEX, ORIGIN_FILE, *TOKENIZER_FILES)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The local files of a model and their origin.

    Attributes:
        folder: the local folder.
        repo: hub id, or the URL of the folder; None for a local folder.
        commit: git commit on the hub, or the package that contains the model; None for other folders.
    """

    folder: Path
    repo: str | None = None
    commit: str | None = None


def fetch(name: str, revision: str | None = None) -> Checkpoint:
    """Find the files of a preset, a hub id or a local folder, and download or import them if necessary.

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
    if preset is not None and preset.llama:
        if name != preset.name:  # its repository: not the package, which may have other weights
            revision = revision or preset.revision
        found = find_llama(preset, revision)
        folder = import_once(found, preset.name)
        return Checkpoint(folder=folder, repo=preset.name, commit=found.origin["revision"])
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
    return download(_repository(name, None), "main", TOKENIZER_FILES, "--model.tokenizer")


def fetch_preset_tokenizer(preset: Preset, revision: str | None = None) -> Tokenizer:
    """The tokenizer of a preset with pretrained weights; the weights are not downloaded.

    Raises:
        FileNotFoundError: it is missing, or the hub is unreachable.
    """
    if preset.llama:
        return load_llama_tokenizer(find_llama(preset, revision, files=TOKENIZER_FILES).path)
    assert preset.tokenizer is not None
    return load_tokenizer(fetch_tokenizer(preset.tokenizer))


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
