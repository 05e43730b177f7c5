"""Fetches both datasets with DVC, from their authors' repositories or a copied cache, and verifies them."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from tweetelm.data.provenance import folder_md5
from tweetelm.data.published_files import ALL, foreign, listed
from tweetelm.files.hashing import md5

_OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")
_NO_DVC = "No module named dvc"
_OFFLINE = (
    "If this machine has no internet, copy .dvc/cache from one that has the data and type "
    "`make data CACHE=<that folder>`."
)
_SEEDED = (
    "The cache that was named may lack objects: copy the whole .dvc/cache from a machine that has the data."
)


def pull(start: Path, *, cache: Path | None = None) -> Iterator[str]:
    """Fill `data/` as data.dvc says, yielding a line for each thing done; nothing if it is so already.

    Args:
        start: a folder inside the repository.
        cache: a DVC cache (a folder with `files/md5/`) from a machine that has the data; without one DVC
            clones the authors' repositories, which needs the internet.

    Raises:
        FileNotFoundError: there is no data.dvc here or above, or `cache` is no DVC cache.
        ValueError: DVC is missing or failed, or what came is not what data.dvc says.
    """
    root = _repository(start)
    data, expected = root / "data", _recorded(root / "data.dvc")
    if data.is_dir() and folder_md5(data, ALL) == expected:
        yield f"{data} is there already and is what data.dvc says ({expected})"
        yield from _others(data)
        return
    _do_without_git(root)
    if cache is None:
        yield "fetching from the repositories that upstream/raw/*.dvc name (for an offline copy: --cache DIR)"
    else:
        yield _seed(root, cache)
    _pull(root, seeded=cache is not None)
    if (found := folder_md5(data, ALL)) != expected:
        raise ValueError(
            f"{data} is {found}; data.dvc says {expected}. The files were changed or the cache is "
            f"damaged: delete both (rm -r data .dvc/cache) in {root} and fetch again"
        )
    yield f"{data} is what data.dvc says ({expected})"
    yield from _others(data)


def _others(data: Path) -> Iterator[str]:
    if names := foreign(data, ALL):
        yield f"not part of it, and ignored: {listed(names)}"


def _do_without_git(root: Path) -> None:
    """Tell DVC, in files that git would ignore, that this copy of the repository has no git."""
    if not (root / ".git").exists():
        for folder in (root, root / "upstream"):
            _dvc(folder, "config", "--local", "core.no_scm", "true")


def _pull(root: Path, *, seeded: bool) -> None:
    """`dvc pull`, its commonest refusals explained."""
    try:
        _dvc(root, "pull")
    except ValueError as error:
        data, said = root / "data", str(error)
        kept = [line for line in said.splitlines() if line.startswith(f"{data}/")]
        if kept:
            names = listed([str(Path(line).relative_to(data)) for line in kept])
            raise ValueError(
                f"DVC replaces no file in {data} that it did not write or that was changed since: {names}. "
                "Move these away, then type the command again"
            ) from error
        advice = _SEEDED if seeded else _OFFLINE
        raise ValueError(f"{said}\n{advice} To go on without the data, use `--data.root sample`.") from error


def _repository(start: Path) -> Path:
    for folder in (start, *start.parents):
        if (folder / "data.dvc").is_file():
            return folder
    raise FileNotFoundError(f"no data.dvc in {start} or above it; run this inside a clone of the repository")


def _recorded(file: Path) -> str:
    try:
        return str(yaml.safe_load(file.read_bytes())["outs"][0]["md5"])
    except (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{file} is damaged ({reason}); take it from the repository again: git checkout data.dvc"
        ) from error


def _seed(root: Path, cache: Path) -> str:
    """Copy the objects of another cache that this one lacks, if its hash is right (DVC trusts it)."""
    objects = [path for path in (cache / "files" / "md5").glob("*/*") if _OBJECT.fullmatch(path.name)]
    if not objects:
        raise FileNotFoundError(
            f"{cache} is no DVC cache: it has no files/md5/*/*; expected a copy of .dvc/cache"
        )
    target = Path(_dvc(root, "cache", "dir").strip())
    copied = 0
    for path in objects:
        name = path.parent.name + path.name
        if md5(path) != name.removesuffix(".dir"):
            raise ValueError(f"{path} is damaged: its md5 is {md5(path)}; expected the one in its name")
        place = target / path.relative_to(cache)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
            copied += 1
    return f"copied {copied} of {len(objects)} objects from {cache} to {target}; the network is not needed"


def _dvc(root: Path, *arguments: str) -> str:
    """Run DVC at the repository's root (elsewhere `upstream` in data.dvc means another folder)."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.strip().splitlines() or ["nothing"]
    if _NO_DVC in said[-1]:
        raise ValueError("DVC is not installed; run `make setup`, or `pip install 'tweetelm[data]'`")
    errors = [line for line in said if line.startswith("ERROR")] or said
    unsaved = [line for line in said if line.startswith(f"{root}/")]
    raise ValueError(
        "\n".join([f"`dvc {' '.join(arguments)}` failed in {root}: {'; '.join(errors)}", *unsaved])
    )
