"""A cache of folders: each is filled once per machine, for instance with files from object storage."""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tweetelm.files import atomic, object_storage
from tweetelm.files.atomic import clean_stale, commit, staging_dir
from tweetelm.files.file_lock import DOWNLOAD_WAIT_S, LOCK, locked
from tweetelm.files.hashing import sha256
from tweetelm.files.json_file import parse_object

FILES, SUMS = "files", "sha256.json"
log = logging.getLogger(__name__)


def cached(url: str, only: Sequence[str] = ("*",), cache: Path | None = None) -> Path:
    """A local folder with the files below `url` whose paths match one of the patterns `only`.

    The cache key is the URL with the names, sizes and times of its files, so that changed files are
    downloaded again. Each call hashes the local files and downloads damaged ones again. If several processes
    need the same files, one downloads and the others wait.

    Args:
        url: a folder in object storage.
        only: patterns of `fnmatch`.
        cache: by default ~/.cache/tweetelm.

    Raises:
        FileNotFoundError: no file at the URL matches.
        OSError: the storage is unreachable, or its files changed during the download.
    """
    remote = {
        name: info
        for name, info in object_storage.listed(url).items()
        if any(fnmatch(name, pattern) for pattern in only)
    }
    if not remote:
        raise FileNotFoundError(f"{url} does not exist or has none of {', '.join(only)}")
    return filled(f"fetched/{_key(url, remote)}", lambda folder: _fetch(url, remote, folder), cache)


def filled(name: str, fill: Callable[[Path], None], cache: Path | None = None) -> Path:
    """A cached folder with the files that `fill` writes.

    Each call hashes the files; damaged ones are written again. If several processes need the same folder, one
    fills it and the others wait.

    Args:
        name: path of the folder in the cache; names the content.
        fill: writes the files into a new folder, which it creates.
        cache: by default ~/.cache/tweetelm.
    """
    target = (cache or Path.home() / ".cache" / "tweetelm") / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f"{LOCK}-{target.name}", wait=DOWNLOAD_WAIT_S):
        if not _whole(target):
            shutil.rmtree(target, ignore_errors=True)
            clean_stale(target.parent)
            with staging_dir(target) as partial:
                fill(partial / FILES)
                paths = [path for path in (partial / FILES).rglob("*") if path.is_file()]
                sums = {str(path.relative_to(partial / FILES)): sha256(path) for path in paths}
                atomic.write_text(partial / SUMS, json.dumps(sums))
                commit(partial, target)
    return target / FILES


def _key(url: str, remote: Mapping[str, Any]) -> str:
    listing = [url, [(name, info.size, info.mtime_ns) for name, info in remote.items()]]
    return sha256(json.dumps(listing).encode())[:24]


def _fetch(url: str, remote: Mapping[str, Any], folder: Path) -> None:
    object_storage.fetch(url, folder, list(remote))
    for name, info in remote.items():
        size = (folder / name).stat().st_size
        if size != info.size:
            raise OSError(
                f"{url}/{name} has {size} bytes; expected {info.size} as listed: it changed during the "
                "download; run the command again"
            )


def _whole(target: Path) -> bool:
    """Whether the cached folder exists and its files have the recorded hashes; ignores other files."""
    if not (target / SUMS).is_file():
        return False
    try:
        expected = parse_object((target / SUMS).read_bytes(), target / SUMS, "the files are written again")
    except ValueError as error:
        log.warning("%s", error)
        return False
    files = {name: target / FILES / name for name in expected}
    return all(path.is_file() and sha256(path) == expected[name] for name, path in files.items())
