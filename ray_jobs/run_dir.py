"""A run's folder: its name, lock, identity and result. Imports neither Ray nor torch, so it is fast."""

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any

from ray_jobs.locks.run_lock import BusyError, locked_folder
from tweetelm.cli.config_file import to_yaml
from tweetelm.config.overrides import completed, difference
from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.files import names, object_storage
from tweetelm.files.json_file import Kind, check_fields, parse_object
from tweetelm.files.names import printable
from tweetelm.registry.store import open_store
from tweetelm.tasks.metric import ALWAYS

RUN_FILE, CONFIG_FILE, FINISHED_FILE = "run.json", "config.yaml", "finished.json"
EVALUATION = "evaluation"  # the folder of the report


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The result of a run: its scores, and the published version if there is one."""

    run: str
    scores: dict[str, dict[str, float]]
    notices: list[str]
    version: str | None = None
    path: str | None = None
    promoted: bool = False
    reason: str = ""


def check_typed_name(name: str | None) -> None:
    """Check that a run name is valid and short enough for the suffixes of trials and seeds.

    Raises:
        ValueError: it is not.
    """
    if name is not None:
        names.check_name(name, "--name")


def finished_before(config: TrainConfig) -> Finished | None:
    """Return the result of a finished run, or None.

    Raises:
        ValueError: the name belongs to a run with another configuration, or a file of the run is damaged.
        OSError: the storage cannot be reached.
    """
    return read_finished(config) if check_name(config) else None


def read_finished(config: TrainConfig) -> Finished | None:
    """Return the result of a finished run, or None; the name is not checked.

    Raises:
        ValueError: finished.json is damaged.
    """
    path = f"{config.folder}/{FINISHED_FILE}"
    found = object_storage.read(path)
    return None if found is None else _parse_finished(found, path)


def _parse_finished(data: bytes, path: str) -> Finished:
    remedy = "delete it and run the command again to evaluate the best checkpoint again"
    values = parse_object(data, path, remedy, {"run": str, "scores": dict, "notices": list})
    kinds: dict[str, Kind] = {
        "version": (str, NoneType),
        "path": (str, NoneType),
        "promoted": bool,
        "reason": str,
    }
    try:
        check_fields(values, {name: kind for name, kind in kinds.items() if name in values})
        for split, scores in values["scores"].items():
            check_fields({split: scores}, {split: dict}, "scores.")
            check_fields(scores, dict.fromkeys(ALWAYS, (float, NoneType)), f"scores.{split}.")
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {remedy}") from error
    return Finished(**{f.name: values[f.name] for f in dataclasses.fields(Finished) if f.name in values})


@contextlib.contextmanager
def hold(config: TrainConfig, *, under: str = "", **more: Any) -> Iterator[Finished | None]:
    """Lock a run for this command and check its name; yields the result of a finished run, or None.

    Args:
        config: Configuration of the run.
        under: Name of the search of which the run is a trial; this command holds its lock.
        **more: Further parts of the run's identity.

    Raises:
        ValueError: another command uses the run, or the name belongs to a run with another configuration.
        OSError: the storage cannot be written.
    """
    mine = config.identity | more
    with contextlib.ExitStack() as stack:
        try:
            lock = locked_folder(config.folder, f"run {config.run_name!r}", under=under, identity=mine)
            stack.enter_context(lock)
        except BusyError as busy:
            check_name(config, **more)
            if busy.owner.identity:
                _refuse_other(config, busy.owner.identity, mine)
            raise
        except OSError as error:
            raise _not_written(config.folder, error) from error
        yield read_finished(config) if check_name(config, **more) else None


def check_name(config: TrainConfig, **more: Any) -> bool:
    """Check that the run's name is free, or belongs to the same run.

    Args:
        config: Configuration of the run.
        **more: Further parts of the run's identity.

    Returns:
        Whether the run exists.

    Raises:
        ValueError: the name belongs to a run with another configuration, or its run.json is damaged.
        OSError: the storage cannot be reached.
    """
    path = f"{config.folder}/{RUN_FILE}"
    found = object_storage.read(path)
    if found is None:
        return False
    remedy = (
        "delete it and run the original command, which resumes from the last checkpoint; or choose another "
        "--name"
    )
    _refuse_other(
        config, parse_object(found, path, remedy, {"identity": dict})["identity"], config.identity | more
    )
    return True


def _refuse_other(config: TrainConfig, stored: dict[str, Any], mine: dict[str, Any]) -> None:
    # Settings added since the run was created had their default.
    changes = difference(completed(stored, TrainConfig(task=config.task).identity), mine)
    if changes:
        raise ValueError(
            f"a run called {config.run_name!r} exists with another configuration:\n  "
            + "\n  ".join(printable(change) for change in changes)
            + f"\nChoose another --name, or delete {shlex.quote(config.folder)}"
        )


def claim(config: TrainConfig, flags: Mapping[str, Any] | None = None, /, **more: Any) -> None:
    """Claim the run's name if it is free; if several commands claim it at once, one succeeds.

    Writes config.yaml, which `--config` reads, so that the run can be repeated under another name.

    Args:
        config: Configuration of the run.
        flags: Settings of the command beside it, for config.yaml.
        **more: Further parts of the run's identity.

    Raises:
        ValueError: the name belongs to a run with another configuration.
        OSError: the storage cannot be written.
    """
    document = {"name": config.run_name, "identity": config.identity | more}
    data = (json.dumps(document, indent=2) + "\n").encode()
    while not check_name(config, **more):
        try:
            if open_store(config.folder).swap(RUN_FILE, None, data):
                settings = {**to_dict(config), **(flags or {}), "name": None}
                object_storage.write(f"{config.folder}/{CONFIG_FILE}", to_yaml(settings).encode())
                return
        except OSError as error:
            raise _not_written(f"{config.folder}/{RUN_FILE}", error) from error


def _not_written(path: str, error: OSError) -> OSError:
    return OSError(f"cannot write {path} ({error}); choose another folder or URL with --run.storage")
