"""Versions as folders on this machine: the cache of downloads, and exports."""

import shutil
from pathlib import Path

from tweetelm.files.atomic import clean_stale, commit, staging_dir
from tweetelm.files.file_lock import DOWNLOAD_WAIT_S, LOCK, locked
from tweetelm.registry.card import Card
from tweetelm.registry.integrity import ensure_whole
from tweetelm.registry.store import CARD, Store


def download(store: Store, folder: str, card: Card, target: Path) -> Path:
    """`target`, with the version's files in it: downloaded, unless they are there and whole already.

    Of several processes that ask at the same time one downloads, the others wait for it.

    Raises:
        ValueError: a file is not what the card says, in the store itself.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f"{LOCK}-{target.name}", wait=DOWNLOAD_WAIT_S):
        if target.exists():
            try:
                ensure_whole(target, card)
            except ValueError:  # of the cache, not of the store
                shutil.rmtree(target)
            else:
                return target
        clean_stale(target.parent)
        _copy(store, folder, card, target)
    return target


def export(store: Store, folder: str, card: Card, target: Path) -> None:
    """Copy a version's files, and nothing else, to a new folder.

    Raises:
        FileExistsError: there is something at `target`; nothing is overwritten.
        ValueError: a file is not what the card says; nothing appears.
    """
    taken = FileExistsError(f"{target} exists; exports never overwrite: name a folder that does not exist")
    if target.exists() or target.is_symlink():
        raise taken
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _copy(store, folder, card, target):
        raise taken


def _copy(store: Store, folder: str, card: Card, target: Path) -> bool:
    """Whether this copy, which is checked before it appears, got the name."""
    with staging_dir(target) as partial:
        for file in (*card.files, CARD):
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                store.copy(f"{folder}/{file}", partial / file)
            except FileNotFoundError as error:
                raise ValueError(f"{store.address(f'{folder}/{file}')} is missing: it is damaged") from error
        ensure_whole(partial, card)
        return commit(partial, target)
