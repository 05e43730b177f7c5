"""Whether what a run will write at its end can be written, before it costs anything."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tweetelm.config.train_config import TrainConfig
from tweetelm.files.paths import is_url
from tweetelm.registry.store import open_store
from tweetelm.registry.versions import check_registry

if TYPE_CHECKING:
    from tweetelm.openelm.flops import Cost


def check_places(config: TrainConfig) -> None:
    """See that the registry takes a version, if one is to be published.

    Raises:
        OSError: it cannot be written; ValueError: it can be no registry, or what is there is damaged.
    """
    if config.run.publish:
        try:
            check_registry(config.task, config.run.registry_folder)
        except OSError as error:
            raise OSError(
                f"cannot publish to {config.run.registry} ({error}); choose another folder or URL with "
                "--run.registry, or train without: --run.no-publish"
            ) from error


def check_out(place: str, flag: str) -> None:
    """See that a folder or URL, which a flag names, can be written; OSError with the flag if not."""
    try:
        open_store(place).probe("")
    except OSError as error:
        raise OSError(f"cannot write {place} ({error}); choose another with {flag}") from error


def check_space(config: TrainConfig, size: "Cost") -> None:
    """See that local storage has room for the checkpoints that a run keeps, and for a published version.

    Raises:
        OSError: it has not.
    """
    learning = size.parameters if config.trains_all_weights else 0
    checkpoints = 4 * (4 * size.parameters + 8 * learning)  # best two, last, and one being written
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
            _see_room(folder, needed[device], what, flag)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _see_room(folder: Path, needed: int, what: str, flag: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free; {what} up to {needed / 1e9:.1f} GB. Free some space or "
            f"choose another place with {flag}"
        )
