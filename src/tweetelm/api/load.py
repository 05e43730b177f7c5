"""`load`: a model by the name of its task, a version, a folder, a URL or a hub id."""

import re
from pathlib import Path

from tweetelm.api.quiet import without_progress_bars
from tweetelm.encoding import ENCODING_FILE
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import expanded, is_url
from tweetelm.openelm.checkpoints.download import download
from tweetelm.precision import InferencePrecision
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve
from tweetelm.registry.versions import DEFAULT_REGISTRY, VERSION
from tweetelm.tasks import task_name
from tweetelm.tasks.task_file import SUFFIX

FILES = ("*.json", "model*.safetensors")  # of a checkpoint, without the optimizer state
_HUB_FILES = tuple(f"{name}.json" for name in ("config", "card", "encoding", "tokenizer", "tokenizer_config"))
_TASK = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def load(
    name: str | Path,
    *,
    registry: str = DEFAULT_REGISTRY,
    version: str | None = None,
    device: str = "auto",
    precision: InferencePrecision = "auto",
) -> Predictor:
    """Load a model.

    ```python
    tweetelm.load("hate")                           # the current version in the registry
    tweetelm.load("hate/20261121-abc123")           # a version
    tweetelm.load("runs/my-run/checkpoint_000003")  # a folder: checkpoint, version or export
    tweetelm.load("s3://bucket/models/hate/versions/20261121-abc123")
    tweetelm.load("owner/name")                     # a repository on the model hub
    ```

    A task with a published version takes precedence over a folder of the same name, and a folder over a hub
    id; a path such as `./hate` always means the folder.

    Args:
        name: a task or its file, TASK/VERSION, a folder, a URL, or a hub id.
        registry: folder or URL of published models.
        version: a version of the task, by default the current one; for a hub id, a git revision.
        device: "cpu", "cuda", or "auto" for the GPU if there is one.
        precision: as for `Predictor.load`: "float32", "bf16", "int8" or "auto".

    Raises:
        FileNotFoundError: there is no such model, or the hub cannot be reached.
        ValueError: a file is damaged, or `version` is given for a folder or URL.
    """
    with without_progress_bars():
        return Predictor.load(_folder(name, registry, version), device=device, precision=precision)


def _folder(name: str | Path, registry: str, version: str | None) -> Path:
    """The local folder of a model, downloaded if necessary."""
    if str(name).endswith(SUFFIX):
        return resolve(task_name(str(name)), registry=registry, version=version)
    if isinstance(name, Path) or is_url(name) or name.startswith((".", "/", "~")):
        return _place(str(name), version)
    task, slash, rest = name.partition("/")
    if slash and VERSION.fullmatch(rest):
        return resolve(task, registry=registry, version=_only(name, rest, version))
    if not slash and _TASK.fullmatch(name):
        return _of_task(name, registry, version)
    if Path(name).is_dir() or name.count("/") != 1:
        return _place(name, version)
    return download(name, version or "main", (*_HUB_FILES, "model*.safetensors*"), None, "version")


def _place(place: str, version: str | None) -> Path:
    """The folder at a path or URL."""
    if version is not None:
        raise ValueError(f"{place} is one model and has no version {version!r}; omit version")
    if is_url(place):
        return cached(place.rstrip("/"), FILES)
    folder = Path(expanded(place))
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the folder {folder} does not exist; expected a folder, a URL, a task, TASK/VERSION or a hub id "
            "(owner/name)"
        )
    return folder


def _of_task(name: str, registry: str, version: str | None) -> Path:
    """A published version, or a checkpoint folder of that name if nothing is published under it."""
    try:
        return resolve(name, registry=registry, version=version)
    except (FileNotFoundError, ValueError):
        if version is None and (Path(name) / ENCODING_FILE).is_file():
            return Path(name)
        raise


def _only(name: str, found: str, version: str | None) -> str:
    if version not in (None, found):
        raise ValueError(f"{name} and version={version!r} are two versions; expected one of them")
    return found
