"""Finds and skips damaged checkpoints before Ray Train resumes a run.

Ray Train stores a run's list of checkpoints in a snapshot file, which it does not write atomically. It fails
with a traceback if that file or the last checkpoint is damaged. The field names are those of Ray 2.60.
"""

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import ray

from ray_jobs.training.worker_config import SCORE
from tweetelm.files import object_storage
from tweetelm.files.json_file import check_fields, parse_object

SNAPSHOT = "checkpoint_manager_snapshot.json"
STATE = "state.json"
_WEIGHTS = ("model.safetensors", "optimizer.safetensors")
_DOCUMENTS = ("config.json", "encoding.json", STATE, "tokenizer.json", "tokenizer_config.json")
_LISTS = (
    "checkpoint_results",
    "checkpoint_report_indices",
    "pending_training_results",
    "pending_validation_specs",
)
_OUTCOMES = ("validated", "timed_out_validation", "failed_validation")


def leave_out_damaged(folder: str) -> list[str]:
    """Remove damaged checkpoints from Ray Train's list; rebuild the list if it is damaged.

    Args:
        folder: Folder or URL of the run.

    Returns:
        Lines to print about the changes; empty if nothing is damaged.
    """
    path = f"{folder}/{SNAPSHOT}"
    found = object_storage.read(path)
    if found is None:
        return []
    try:
        snapshot, messages = _parse(found, path), []
    except ValueError as error:
        faults = {name: checkpoint_fault(f"{folder}/{name}") for name in _stored(folder)}
        snapshot, messages = (
            _rebuilt(folder, [name for name, fault in faults.items() if not fault]),
            [f"{error}"],
        )
    else:
        faults = {name: checkpoint_fault(f"{folder}/{name}") for name in _names(snapshot)}
    damaged = {name: fault for name, fault in faults.items() if fault}
    if not messages and not damaged:
        return []
    snapshot = _without(snapshot, damaged)
    object_storage.write(path, json.dumps(snapshot).encode())
    messages += [
        f"checkpoint {folder}/{name} is damaged ({fault}): skipped" for name, fault in damaged.items()
    ]
    return [*messages, _outlook(folder, snapshot["latest_checkpoint_result"])]


def _outlook(folder: str, newest: dict[str, Any] | None) -> str:
    if newest is None:
        return "no valid checkpoint is left: training restarts from the beginning"
    return f"resuming from {folder}/{newest['checkpoint_dir_name']}"


def checkpoint_fault(path: str) -> str:
    """Return what is wrong with a checkpoint's folder or URL; "" if all files are complete."""
    try:
        sizes = {name: info.size for name, info in object_storage.listed(path).items()}
    except NotADirectoryError:
        return "it is a file"
    if not sizes:
        return "it does not exist"
    absent = [name for name in (*_WEIGHTS, *_DOCUMENTS) if name not in sizes]
    if absent:
        return f"it lacks {', '.join(absent)}"
    try:
        for name in _DOCUMENTS:
            values = parse_object(object_storage.read(f"{path}/{name}") or b"", name, "it cannot be read")
            if name == STATE:
                check_fields(values, {"progress": dict})
                check_fields(values["progress"], {"step": int}, "progress.")
        for name in _WEIGHTS:
            _check_tensors(f"{path}/{name}", name, sizes[name])
    except ValueError as error:
        return str(error)
    return ""


def _check_tensors(path: str, name: str, size: int) -> None:
    """Raise ValueError unless a safetensors file has the length given by its header."""
    length = int.from_bytes(object_storage.read(path, 8) or b"", "little")
    if not 2 <= length <= size - 8:
        raise ValueError(f"{name} has no header")
    header = parse_object(
        (object_storage.read(path, 8 + length) or b"")[8:], f"the header of {name}", "it cannot be read"
    )
    try:
        ends = [int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"]
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"the header of {name} is damaged") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise ValueError(f"{name} has {size} bytes, expected {expected}")


def _parse(data: bytes, path: str) -> dict[str, Any]:
    remedy = "it is rebuilt from the stored checkpoints"
    needed: dict[str, Any] = {**dict.fromkeys(_LISTS, list), "latest_checkpoint_result": (dict, type(None))}
    snapshot = parse_object(data, path, remedy, {**needed, "current_report_index": int})
    results, latest = snapshot["checkpoint_results"], snapshot["latest_checkpoint_result"]
    entries = [*results, *([latest] if latest else [])]
    whole = all(isinstance(each, dict) and _is_plain(each.get("checkpoint_dir_name")) for each in entries)
    if not whole or len(results) != len(snapshot["checkpoint_report_indices"]):
        raise ValueError(f"{path} is damaged (its checkpoints have no names); {remedy}")
    return snapshot


def _is_plain(name: object) -> bool:
    """Return whether `name` is a plain folder name inside the run folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name


def _names(snapshot: dict[str, Any]) -> list[str]:
    latest = snapshot["latest_checkpoint_result"]
    entries = [*snapshot["checkpoint_results"], *([latest] if latest else [])]
    return list(dict.fromkeys(entry["checkpoint_dir_name"] for entry in entries))


def _without(snapshot: dict[str, Any], damaged: Iterable[str]) -> dict[str, Any]:
    """Return the list without the damaged checkpoints; the newest remaining one becomes the latest."""
    excluded = set(damaged)
    pairs = zip(snapshot["checkpoint_results"], snapshot["checkpoint_report_indices"], strict=True)
    kept = [(entry, index) for entry, index in pairs if entry["checkpoint_dir_name"] not in excluded]
    newest = max(kept, key=lambda pair: pair[1])[0] if kept else None
    return {
        **snapshot,
        "checkpoint_results": [entry for entry, _ in kept],
        "checkpoint_report_indices": [index for _, index in kept],
        "latest_checkpoint_result": newest,
        "pending_training_results": [],
        "pending_validation_specs": [],
    }


def _stored(folder: str) -> list[str]:
    """Return the names of all stored checkpoints, listed or not."""
    paths = (PurePosixPath(path).parts for path in object_storage.listed(folder))
    return sorted({parts[0] for parts in paths if len(parts) > 1 and parts[0].startswith("checkpoint_")})


def _entry(name: str, state: bytes) -> tuple[int, dict[str, Any]]:
    """Return a checkpoint's step and its entry in Ray's list; old versions of tweetelm stored no score."""
    values = json.loads(state)
    step, metrics = values["progress"]["step"], values.get("metrics")
    if not isinstance(metrics, dict) or SCORE not in metrics:
        metrics = {"step": step, SCORE: -1.0}
    return step, {"version": 0, "checkpoint_dir_name": name, "metrics": metrics}


def _rebuilt(folder: str, whole: list[str]) -> dict[str, Any]:
    """Rebuild the list from the metrics that `ray_jobs.training.worker` writes into each checkpoint."""
    found = [_entry(name, object_storage.read(f"{folder}/{name}/{STATE}") or b"{}") for name in whole]
    found.sort(key=lambda pair: pair[0])
    order = sorted(range(len(found)), key=lambda index: (found[index][1]["metrics"][SCORE], index))
    return {
        "ray_version": ray.__version__,
        "checkpoint_results": [found[index][1] for index in order],  # Ray orders them from worst to best
        "checkpoint_report_indices": order,
        "latest_checkpoint_result": found[-1][1] if found else None,
        "pending_training_results": [],
        "pending_validation_specs": [],
        "current_report_index": len(found),
        **{f"{outcome}_checkpoint_dir_names": [] for outcome in _OUTCOMES},
    }
