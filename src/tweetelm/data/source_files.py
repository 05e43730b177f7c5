"""The local files of a task of one's own: patterns of paths and URLs, found and downloaded."""

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from tweetelm.data.tables import FORMATS, TEXT, has_texts, is_table
from tweetelm.data.tweeteval import MAPPING, PREFIX
from tweetelm.files.download_cache import cached
from tweetelm.files.paths import expanded, is_url
from tweetelm.tasks import TaskData

_WEB = ("http://", "https://")
_GLOB = "*?["
POOL = "files"
TEXTS = tuple(f"{prefix}_{kind}.txt" for prefix in PREFIX.values() for kind in ("text", "labels"))


def find_folders(data: TaskData) -> list[Path]:
    """The folders in TweetEval's layout, sorted.

    Raises:
        FileNotFoundError: a pattern matches no such folder.
    """
    found: list[Path] = []
    for pattern in data.folders:
        whole = _joined(data.place, pattern)
        if is_url(whole):
            base, rest = _base(whole)
            below = cached(base, [f"{rest}/*", MAPPING])
            places = sorted(below.glob(rest))
        else:
            places = sorted(map(Path, glob.glob(whole)))
        folders = [path for path in places if (path / TEXTS[0]).is_file()]
        if not folders:
            raise FileNotFoundError(
                f"{whole}: no such folder has {TEXTS[0]}; expected folders in TweetEval's layout"
            )
        found += folders
    return found


def find_files(data: TaskData) -> dict[str, list[Path]]:
    """The files of each part, `files` or train, validation and test, in sorted order per pattern.

    Raises:
        FileNotFoundError: a pattern matches no file.
        ValueError: a file has an unknown format, or is part of two splits.
    """
    parts = {name: getattr(data, name) for name in (POOL, *PREFIX)}
    found = {name: _files(data.place, patterns) for name, patterns in parts.items() if patterns}
    seen: dict[Path, str] = {}
    for name, files in found.items():
        for file in files:
            if seen.setdefault(file.resolve(), name) != name:
                raise ValueError(f"{file} is in {seen[file.resolve()]} and in {name}; expected it in one")
    return found


def find_text_files(place: str, patterns: Sequence[str]) -> list[Path]:
    """The tables and text files that match patterns, relative to `place`.

    Raises:
        FileNotFoundError: a pattern matches no file.
        ValueError: a file has an unknown format.
    """
    return _files(place, patterns, has_texts, (TEXT, *FORMATS))


def _files(
    place: str,
    patterns: Sequence[str],
    is_read: Callable[[Path], bool] = is_table,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        whole = _joined(place, pattern)
        files = _remote(whole, is_read) if is_url(whole) else _local(whole, is_read)
        if not files:
            raise FileNotFoundError(f"{whole} does not exist, or matches no file")
        if unknown := [file for file in files if not is_read(file)]:
            raise ValueError(
                f"{unknown[0]} has an unknown format; expected a name that ends in {', '.join(formats)}, and "
                "optionally .gz, .bz2 or .zst"
            )
        found += [file for file in files if file not in found]
    return found


def _local(whole: str, is_read: Callable[[Path], bool]) -> list[Path]:
    path = Path(whole)
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file() and is_read(file))
    if path.is_file():
        return [path]
    return sorted(file for file in map(Path, glob.glob(whole, recursive=True)) if file.is_file())


def _remote(url: str, is_read: Callable[[Path], bool]) -> list[Path]:
    if url.startswith(_WEB):
        return [_from_web(url)]
    base, rest = _base(url)
    below = cached(base, [rest or "*"])
    return sorted(file for file in below.rglob("*") if file.is_file() and (rest or is_read(file)))


def _from_web(url: str) -> Path:
    """Download a file through the cache of `datasets`; a link named after the URL keeps its ending."""
    from datasets import DownloadConfig, DownloadManager

    cache = Path.home() / ".cache" / "tweetelm" / "downloads"
    how = DownloadConfig(cache_dir=str(cache), max_retries=2, disable_tqdm=True)
    try:
        stored = Path(DownloadManager(download_config=how).download(url))
    except (OSError, ValueError) as error:
        raise OSError(f"{url} cannot be downloaded ({error}); check the address and the network") from error
    named = stored.with_name(f"{stored.name}-{url.split('?')[0].rstrip('/').rsplit('/', 1)[-1]}")
    if not named.exists():
        named.symlink_to(stored.name)
    return named


def _joined(place: str, pattern: str) -> str:
    pattern = expanded(pattern)
    if is_url(pattern) or Path(pattern).is_absolute():
        return pattern
    return f"{place.rstrip('/')}/{pattern}"


def _base(url: str) -> tuple[str, str]:
    """Split a URL into its folder and the rest, which begins with the first part that has a wildcard."""
    scheme, _, path = url.partition("://")
    parts = path.rstrip("/").split("/")
    wild = next((i for i, part in enumerate(parts) if _has_glob(part)), len(parts) - 1)
    return f"{scheme}://{'/'.join(parts[:wild])}", "/".join(parts[wild:])


def _has_glob(part: str) -> bool:
    return any(sign in part for sign in _GLOB)
