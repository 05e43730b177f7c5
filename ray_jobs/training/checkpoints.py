"""The checkpoints that a run resumes from: damaged ones are found and skipped before Ray Train reads them.

Ray Train keeps a list of a run's checkpoints in a file of its own, writes that in place, and ends with a
trace when the file or the last checkpoint is damaged. The names of that file's fields are Ray's (2.60).
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
    """Take damaged checkpoints off Ray Train's list of a run's; make the list again if it is damaged itself.

    Args:
        folder: of the run, or its URL.

    Returns:
        What was done, in lines to print; none if all is whole.
    """
    place = f"{folder}/{SNAPSHOT}"
    found = object_storage.read(place)
    if found is None:
        return []
    try:
        snapshot, said = _parse(found, place), []
    except ValueError as error:
        faults = {name: checkpoint_fault(f"{folder}/{name}") for name in _stored(folder)}
        snapshot, said = _rebuilt(folder, [name for name, fault in faults.items() if not fault]), [f"{error}"]
    else:
        faults = {name: checkpoint_fault(f"{folder}/{name}") for name in _names(snapshot)}
    damaged = {name: fault for name, fault in faults.items() if fault}
    if not said and not damaged:
        return []
    snapshot = _without(snapshot, damaged)
    object_storage.write(place, json.dumps(snapshot).encode())
    said += [f"checkpoint {folder}/{name} is damaged ({fault}): left out" for name, fault in damaged.items()]
    return [*said, _outlook(folder, snapshot["latest_checkpoint_result"])]


def _outlook(folder: str, newest: dict[str, Any] | None) -> str:
    if newest is None:
        return "no whole checkpoint is left: training begins anew"
    return f"going on from {folder}/{newest['checkpoint_dir_name']}"


def checkpoint_fault(place: str) -> str:
    """What is wrong with a checkpoint's folder or URL; empty if every file is there and complete."""
    try:
        sizes = {name: info.size for name, info in object_storage.listed(place).items()}
    except NotADirectoryError:
        return "it is a file"
    if not sizes:
        return "it is not there"
    absent = [name for name in (*_WEIGHTS, *_DOCUMENTS) if name not in sizes]
    if absent:
        return f"it lacks {', '.join(absent)}"
    try:
        for name in _DOCUMENTS:
            values = parse_object(object_storage.read(f"{place}/{name}") or b"", name, "it cannot be read")
            if name == STATE:
                check_fields(values, {"progress": dict})
                check_fields(values["progress"], {"step": int}, "progress.")
        for name in _WEIGHTS:
            _check_tensors(f"{place}/{name}", name, sizes[name])
    except ValueError as error:
        return str(error)
    return ""


def _check_tensors(place: str, name: str, size: int) -> None:
    """ValueError unless a safetensors file is as long as its header says."""
    length = int.from_bytes(object_storage.read(place, 8) or b"", "little")
    if not 2 <= length <= size - 8:
        raise ValueError(f"{name} has no header")
    header = parse_object(
        (object_storage.read(place, 8 + length) or b"")[8:], f"the header of {name}", "it cannot be read"
    )
    try:
        ends = [int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"]
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"the header of {name} is damaged") from error
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise ValueError(f"{name} has {size} bytes, expected {expected}")


def _parse(data: bytes, place: str) -> dict[str, Any]:
    remedy = "it is made again from the checkpoints that are there"
    needed: dict[str, Any] = {**dict.fromkeys(_LISTS, list), "latest_checkpoint_result": (dict, type(None))}
    snapshot = parse_object(data, place, remedy, {**needed, "current_report_index": int})
    results, latest = snapshot["checkpoint_results"], snapshot["latest_checkpoint_result"]
    entries = [*results, *([latest] if latest else [])]
    whole = all(isinstance(each, dict) and _is_plain(each.get("checkpoint_dir_name")) for each in entries)
    if not whole or len(results) != len(snapshot["checkpoint_report_indices"]):
        raise ValueError(f"{place} is damaged (its checkpoints have no names); {remedy}")
    return snapshot


def _is_plain(name: object) -> bool:
    """Whether it names a folder of the run's own."""
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name


def _names(snapshot: dict[str, Any]) -> list[str]:
    latest = snapshot["latest_checkpoint_result"]
    entries = [*snapshot["checkpoint_results"], *([latest] if latest else [])]
    return list(dict.fromkeys(entry["checkpoint_dir_name"] for entry in entries))


def _without(snapshot: dict[str, Any], damaged: Iterable[str]) -> dict[str, Any]:
    """The list without some checkpoints. The newest of the others is the one to go on from."""
    gone = set(damaged)
    pairs = zip(snapshot["checkpoint_results"], snapshot["checkpoint_report_indices"], strict=True)
    kept = [(entry, index) for entry, index in pairs if entry["checkpoint_dir_name"] not in gone]
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
    """Names of all checkpoints that are there, listed or not."""
    paths = (PurePosixPath(path).parts for path in object_storage.listed(folder))
    return sorted({parts[0] for parts in paths if len(parts) > 1 and parts[0].startswith("checkpoint_")})


def _entry(name: str, state: bytes) -> tuple[int, dict[str, Any]]:
    """A checkpoint's step, and what Ray's list says of it; an older tweetelm's tells no score."""
    values = json.loads(state)
    step, metrics = values["progress"]["step"], values.get("metrics")
    if not isinstance(metrics, dict) or SCORE not in metrics:
        metrics = {"step": step, SCORE: -1.0}
    return step, {"version": 0, "checkpoint_dir_name": name, "metrics": metrics}


def _rebuilt(folder: str, whole: list[str]) -> dict[str, Any]:
    """The list rebuilt from the metrics that `ray_jobs.training.worker` writes into each checkpoint."""
    found = [_entry(name, object_storage.read(f"{folder}/{name}/{STATE}") or b"{}") for name in whole]
    found.sort(key=lambda pair: pair[0])
    order = sorted(range(len(found)), key=lambda index: (found[index][1]["metrics"][SCORE], index))
    return {
        "ray_version": ray.__version__,
        "checkpoint_results": [found[index][1] for index in order],  # Ray keeps them from worst to best
        "checkpoint_report_indices": order,
        "latest_checkpoint_result": found[-1][1] if found else None,
        "pending_training_results": [],
        "pending_validation_specs": [],
        "current_report_index": len(found),
        **{f"{outcome}_checkpoint_dir_names": [] for outcome in _OUTCOMES},
    }
