"""Files behind a URL, fetched once per machine."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
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
    """A folder on this machine with the files below `url` whose paths match one of the patterns `only`.

    It is kept by the URL and what lies there (names, sizes, times): what changes there is fetched anew. It is
    hashed each time: what was damaged here is, too. Of several processes one fetches, the others wait.

    Args:
        url: of a folder in object storage.
        only: patterns as of `fnmatch`.
        cache: by default ~/.cache/tweetelm.

    Raises:
        FileNotFoundError: no such file lies there.
        OSError: the storage cannot be reached, or changed meanwhile.
    """
    there = {
        name: info
        for name, info in object_storage.listed(url).items()
        if any(fnmatch(name, one) for one in only)
    }
    if not there:
        raise FileNotFoundError(f"{url} is not there")
    home = (cache or Path.home() / ".cache" / "tweetelm") / "fetched"
    target = home / _key(url, there)
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / f"{LOCK}-{target.name}", wait=DOWNLOAD_WAIT_S):
        if not _whole(target):
            shutil.rmtree(target, ignore_errors=True)
            clean_stale(home)
            _fetch(url, there, target)
    return target / FILES


def _key(url: str, there: Mapping[str, Any]) -> str:
    listing = [url, [(name, info.size, info.mtime_ns) for name, info in there.items()]]
    return sha256(json.dumps(listing).encode())[:24]


def _fetch(url: str, there: Mapping[str, Any], target: Path) -> None:
    with staging_dir(target) as partial:
        object_storage.fetch(url, partial / FILES, list(there))
        for name, info in there.items():
            size = (partial / FILES / name).stat().st_size
            if size != info.size:
                raise OSError(
                    f"{url}/{name} has {size} bytes, was listed with {info.size}: it changed while it was "
                    "fetched; type the command again"
                )
        sums = {name: sha256(partial / FILES / name) for name in there}
        atomic.write_text(partial / SUMS, json.dumps(sums))
        commit(partial, target)


def _whole(target: Path) -> bool:
    """Whether it is there and every file is what it was when it came; others beside them do not count."""
    if not (target / SUMS).is_file():
        return False
    try:
        expected = parse_object((target / SUMS).read_bytes(), target / SUMS, "the files are fetched again")
    except ValueError as error:
        log.warning("%s", error)
        return False
    files = {name: target / FILES / name for name in expected}
    return all(path.is_file() and sha256(path) == expected[name] for name, path in files.items())
