"""The weight files of a checkpoint folder: names, shapes, hashes and safety checks."""

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from tweetelm.files.hashing import sha256

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")


def stored_shapes(folder: Path) -> dict[str, list[int]]:
    """The name and shape of every tensor in a folder's safetensors files.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged.
    """
    shapes: dict[str, list[int]] = {}
    for path in weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                shapes |= {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); delete it and download or copy it again"
                + (" (it is a git-lfs pointer: run `git lfs pull`)" if _is_pointer(path) else "")
            ) from error
    return shapes


def weights_sha256(folder: Path) -> str:
    """Hexadecimal sha256 of a folder's weights: of the file, or, for several files, of a list with one line
    (digest, name) per file."""
    digests = {path.name: sha256(path) for path in weight_files(folder)}
    if len(digests) == 1:
        return next(iter(digests.values()))
    return sha256("".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode())


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(20).startswith(b"version https://git")


def weight_files(folder: Path) -> list[Path]:
    """The weight files that transformers reads: one file, or the shards in an index.

    Raises:
        FileNotFoundError: a file is missing, or the folder contains only pickled weights.
        ValueError: the index is damaged, or a file is a link to a path outside the folder.
    """
    index = folder / INDEX
    names = [WEIGHTS] if (folder / WEIGHTS).is_file() or not index.is_file() else _shards(index)
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        _check_inside(folder, names)
        return [folder / name for name in names]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise FileNotFoundError(
            f"{folder} has no {missing[0]}, only {', '.join(pickles)}. Pickled weights are refused, because "
            "loading them can run code; convert them to safetensors in an isolated environment"
        )
    raise FileNotFoundError(f"{folder} has no {missing[0]}; download or copy the checkpoint again")


def _shards(index: Path) -> list[str]:
    """The shard names in an index.

    Raises:
        ValueError: the index is damaged, or names files outside its folder.
    """
    content = read_json(index)
    shards = content.get("weight_map")
    if not isinstance(shards, dict) or not shards or not isinstance(content.get("metadata"), dict):
        raise ValueError(f"{index} has no weight_map or no metadata; download the checkpoint again")
    names = sorted({str(name) for name in shards.values()})
    invalid = [name for name in names if not _SHARD.fullmatch(name)]
    if invalid:
        raise ValueError(
            f"{index} names {', '.join(map(ascii, invalid[:5]))}; expected names of safetensors "
            "files in its folder, such as model-00001-of-00002.safetensors: the "
            "checkpoint is damaged or malicious"
        )
    return names


def _check_inside(folder: Path, names: list[str]) -> None:
    """Raise ValueError if a file is a link to a path outside the folder.

    Allows links to the blobs of the hub's cache.
    """
    root = folder.resolve()
    allowed = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    for name in names:
        real = (folder / name).resolve()
        if real.parent not in allowed:
            raise ValueError(
                f"{folder / name} is a link to {real}, outside the checkpoint; replace it by the file"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file.

    Raises:
        ValueError: the file is not JSON or not an object; the message names it.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); download the checkpoint again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a JSON object; download the checkpoint again")
    return values
