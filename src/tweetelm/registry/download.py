"""Copies versions to this machine: the download cache, and exports."""

import shutil
from pathlib import Path

from tweetelm.files.atomic import clean_stale, commit, staging_dir
from tweetelm.files.file_lock import DOWNLOAD_WAIT_S, LOCK, locked
from tweetelm.registry.card import Card
from tweetelm.registry.integrity import ensure_whole
from tweetelm.registry.store import CARD, Store


def download(store: Store, folder: str, card: Card, target: Path) -> Path:
    """Download a version to `target`, unless an intact copy is there already; returns `target`.

    If several processes download the same version, one downloads and the others wait.

    Raises:
        ValueError: a file in the store does not have the hash in the card.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f"{LOCK}-{target.name}", wait=DOWNLOAD_WAIT_S):
        if target.exists():
            try:
                ensure_whole(target, card)
            except ValueError:  # the cached copy is damaged; the store may be intact
                shutil.rmtree(target)
            else:
                return target
        clean_stale(target.parent)
        _copy(store, folder, card, target)
    return target


def export(store: Store, folder: str, card: Card, target: Path) -> None:
    """Copy the files of a version, and no others, to a new folder.

    Raises:
        FileExistsError: `target` exists; nothing is overwritten.
        ValueError: a file does not have the hash in the card; `target` is not created.
    """
    refuse_taken(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _copy(store, folder, card, target):
        refuse_taken(target)


def refuse_taken(target: Path) -> None:
    """Raise FileExistsError if `target` exists."""
    if target.exists() or target.is_symlink():
        raise FileExistsError(f"{target} exists; exports do not overwrite: expected a new folder")


def _copy(store: Store, folder: str, card: Card, target: Path) -> bool:
    """Copy to a staging folder, verify, and rename. False if `target` exists already."""
    with staging_dir(target) as partial:
        for file in (*card.files, CARD):
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                store.copy(f"{folder}/{file}", partial / file)
            except FileNotFoundError as error:
                raise ValueError(
                    f"{store.address(f'{folder}/{file}')} is missing: the version is damaged; publish the "
                    "model again"
                ) from error
        ensure_whole(partial, card)
        return commit(partial, target)
