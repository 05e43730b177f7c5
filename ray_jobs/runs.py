"""A run's name: where it lies, whose it is, whether it has ended. It answers at once: no Ray, no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tweetelm import storage
from tweetelm.config import TrainConfig, identity
from tweetelm.overrides import completed, difference

RUN_FILE, FINISHED_FILE = "run.json", "finished.json"


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What became of a run: its scores, and the published version if it was published."""

    run: str
    scores: dict[str, dict[str, float]]
    notices: list[str]
    version: str | None = None
    path: str | None = None
    promoted: bool = False
    reason: str = ""


def located(place: str) -> str:
    """A URL as it is, a folder made absolute: other processes may have another working directory."""
    return place.rstrip("/") if storage.is_url(place) else str(Path(place).resolve())


def storage_path(config: TrainConfig) -> str:
    """Where runs are kept."""
    return located(config.run.storage)


def run_folder(config: TrainConfig) -> str:
    """The folder or URL of this run."""
    return f"{storage_path(config)}/{config.run_name}"


def already_finished(config: TrainConfig) -> Finished | None:
    """The result of a run that was carried to its end before."""
    found = storage.read(f"{run_folder(config)}/{FINISHED_FILE}")
    return None if found is None else Finished(**json.loads(found))


def check_name(config: TrainConfig, **more: Any) -> bool:
    """See that the run's name is free, or the same run going on; `more` belongs to its identity too.

    Returns:
        Whether it is there already.

    Raises:
        ValueError: the name belongs to a run with another configuration.
        OSError: the storage cannot be reached.
    """
    found = storage.read(f"{run_folder(config)}/{RUN_FILE}")
    if found is None:
        return False
    # A setting that is newer than the run had its default then.
    stored = completed(json.loads(found)["identity"], identity(TrainConfig(task=config.task)))
    changes = difference(stored, json.loads(json.dumps(identity(config) | more)))
    if changes:
        raise ValueError(
            f"a run called {config.run_name!r} exists with another configuration:\n  "
            + "\n  ".join(changes)
            + f"\nGive this one another --name, or delete {run_folder(config)}"
        )
    return True


def claim(config: TrainConfig, **more: Any) -> None:
    """Take the run's name, if `check_name` says that it is free.

    Raises:
        ValueError: the name belongs to a run with another configuration.
        OSError: the storage cannot be written.
    """
    if check_name(config, **more):
        return
    path, mine = f"{run_folder(config)}/{RUN_FILE}", identity(config) | more
    document = json.dumps({"name": config.run_name, "identity": mine}, indent=2) + "\n"
    try:
        storage.write(path, document.encode())
    except OSError as error:
        raise OSError(
            f"cannot write {path} ({error}); choose another folder or URL with --run.storage"
        ) from error
