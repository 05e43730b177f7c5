"""Checks before training that a run can write its checkpoints and its published version."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tweetelm.config.train_config import TrainConfig
from tweetelm.files import object_storage
from tweetelm.files.paths import is_url
from tweetelm.registry.store import open_store
from tweetelm.registry.versions import check_registry

if TYPE_CHECKING:
    from tweetelm.data import Provenance
    from tweetelm.openelm.checkpoints.hub import Checkpoint
    from tweetelm.openelm.flops import Cost

_BASE = "base-model.txt"


def check_places(config: TrainConfig) -> None:
    """Check that the registry can store a version, if the run publishes one.

    Raises:
        OSError: the registry cannot be written.
        ValueError: the folder cannot be a registry, or the registry is damaged.
    """
    if config.run.publish:
        try:
            check_registry(config.task.name, config.run.registry_folder)
        except OSError as error:
            raise OSError(
                f"cannot publish to {config.run.registry} ({error}); choose another folder or URL with "
                "--run.registry, or do not publish: --run.no-publish"
            ) from error


def check_unlabeled(folder: str, provenance: "Provenance") -> None:
    """Record the hash of a run's or a search's unlabeled tweets in its folder, or compare it.

    Raises:
        ValueError: the run or the search began with other tweets.
    """
    for flag, found in (("pretrain-text", provenance.unlabeled), ("distill-text", provenance.distilled)):
        if found is None:
            continue
        digest, path = found.md5.encode(), f"{folder}/{flag}.md5"
        stored = object_storage.read(path)
        if stored is None:
            object_storage.write(path, digest)
        elif stored != digest:
            raise ValueError(
                f"the files of --{flag.replace('-', '.')} ({' '.join(found.files)}) have other contents than "
                f"when {folder} began; restore them, or choose another --name"
            )


def check_base(folder: str, base: "Checkpoint | None") -> None:
    """Record the revision of a run's base model in its folder, or compare it.

    Raises:
        ValueError: the run began with another revision.
    """
    if base is None or base.commit is None:
        return
    path = f"{folder}/{_BASE}"
    stored = object_storage.read(path)
    if stored is None:
        object_storage.write(path, base.commit.encode())
    elif stored != base.commit.encode():
        raise ValueError(
            f"{folder} began with {base.repo} at {stored.decode()}; this machine now has the weights of "
            f"{base.commit}; provide the former again, or choose another --name"
        )


def with_data(configs: Sequence[TrainConfig], advice: str) -> list[TrainConfig]:
    """Return the configurations of the tasks whose data is there, after reading it; print which are left out.

    Args:
        configs: one configuration per task.
        advice: what to do if there is no data at all.

    Raises:
        FileNotFoundError: a file is missing, or there is no data at all.
        ValueError: a file is malformed.
    """
    from tweetelm.data import load, missing_data  # takes seconds: it imports datasets

    missing = {config.task.name: missing_data(config.task, config.data.root) for config in configs}
    for name, why in missing.items():
        if why:
            print(f"{name}: not trained: {why}", flush=True)
    found = [config for config in configs if not missing[config.task.name]]
    if not found:
        raise FileNotFoundError(f"{configs[0].data.root} has the data of no task; {advice}")
    for config in found:
        load(config.task, config.data.root)
    return found


def check_out(place: str, flag: str) -> None:
    """Check that a folder or URL given by a flag can be written.

    Raises:
        OSError: it cannot; the message names the flag.
    """
    try:
        open_store(place).probe("")
    except OSError as error:
        raise OSError(f"cannot write {place} ({error}); choose another with {flag}") from error


def check_space(config: TrainConfig, size: "Cost") -> None:
    """Check that local disks have space for a run's checkpoints and its published version.

    Raises:
        OSError: a disk has too little space.
    """
    learning = size.parameters if config.trains_all_weights else 0
    kept = 12 if config.loop.average else 8  # AdamW's moments, and the raw weights beside the averaged ones
    checkpoints = 4 * (4 * size.parameters + kept * learning)  # the best two, the last, and one being written
    needs = [(config.folder, checkpoints, "checkpoints of this run need", "--run.storage")]
    if config.run.publish:
        registry = config.run.registry_folder
        needs.append((registry, 4 * size.parameters, "a published model needs", "--run.registry"))
    needed: dict[int, int] = {}
    for place, amount, what, flag in needs:
        if not is_url(place):
            folder = _existing(Path(place))
            device = folder.stat().st_dev
            needed[device] = needed.get(device, 0) + amount
            _check_room(folder, needed[device], what, flag)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _check_room(folder: Path, needed: int, what: str, flag: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free; {what} up to {needed / 1e9:.1f} GB. Free some space, or "
            f"choose another folder with {flag}"
        )
