"""A checkpoint folder's files: which ones hold the weights, and what they say of themselves."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from .hub import INDEX, WEIGHTS

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")


def stored_shapes(folder: Path) -> dict[str, list[int]]:
    """Name and shape of every tensor in a folder's safetensors files.

    Raises:
        FileNotFoundError: there are none, or not all.
        ValueError: one is damaged.
    """
    shapes: dict[str, list[int]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                shapes |= {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); delete it and download or copy it again"
                + (" (it is a git-lfs pointer: `git lfs pull` fetches the file)" if _is_pointer(path) else "")
            ) from error
    return shapes


def weights_sha256(folder: Path) -> str:
    """Hex digest of a folder's weights: of the file, or, where they are several, of a line for each with its
    digest and name."""
    digests = {path.name: _sha256(path) for path in weight_files(folder)}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256(
        "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    ).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(20).startswith(b"version https://git")


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers will read: one, or the shards that an index names."""
    index = folder / INDEX
    names = [WEIGHTS] if (folder / WEIGHTS).is_file() or not index.is_file() else _shards(index)
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        _check_inside(folder, names)
        return [folder / name for name in names]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise FileNotFoundError(
            f"{folder} has no {missing[0]}, only {', '.join(pickles)}: pickled weights can run code when "
            "loaded and are refused; convert them to safetensors in a place you trust"
        )
    raise FileNotFoundError(f"{folder} has no {missing[0]}; download or copy the checkpoint again")


def _shards(index: Path) -> list[str]:
    """The files that an index names: beside it, and nowhere else.

    Raises:
        ValueError: it names others, or is damaged.
    """
    content = read_json(index)
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards or not isinstance(content.get("metadata"), dict):
        raise ValueError(f"{index} has no weight_map or no metadata; download the checkpoint again")
    names = sorted({str(name) for name in shards.values()})
    strange = [name for name in names if not _SHARD.fullmatch(name)]
    if strange:
        raise ValueError(
            f"{index} names {', '.join(map(ascii, strange[:5]))}; expected names of safetensors "
            "files beside it, such as model-00001-of-00002.safetensors: the "
            "checkpoint is damaged or not to be trusted"
        )
    return names


def _check_inside(folder: Path, names: list[str]) -> None:
    """Raise ValueError if a file is a link to elsewhere. The hub's own cache links to its blobs."""
    home = folder.resolve()
    allowed = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    for name in names:
        real = (folder / name).resolve()
        if real.parent not in allowed:
            raise ValueError(
                f"{folder / name} is a link to {real}, outside the checkpoint; put the file itself there"
            )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; ValueError that names the file if there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); download the checkpoint again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a JSON object; download the checkpoint again")
    return values
