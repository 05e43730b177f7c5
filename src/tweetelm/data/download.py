"""Downloads both datasets with DVC, from the authors' repositories or a DVC cache, and verifies hashes."""

import contextlib
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
_ASIDE = ".own-data"  # beside the data, for the time of a download
_NO_DVC = "No module named dvc"
_OFFLINE = (
    "If this machine has no internet access, copy .dvc/cache from a machine that has the data and run "
    "`make data CACHE=<that folder>`."
)
_SEEDED = "The given cache may be incomplete: copy all of .dvc/cache from a machine that has the data."


def pull(start: Path, *, cache: Path | None = None) -> Iterator[str]:
    """Download `data/` and verify that it has the hash in data.dvc. Does nothing if it has that hash already.

    Args:
        start: a folder inside the repository.
        cache: a DVC cache (a folder with `files/md5/`) from a machine that has the data. Without it, DVC
            clones the authors' repositories, which needs internet access.

    Yields:
        One line per step, for the user.

    Raises:
        FileNotFoundError: neither `start` nor its parents contain data.dvc, or `cache` is not a DVC cache.
        ValueError: DVC is missing or failed, or the downloaded data do not have the hash in data.dvc.
    """
    root = _repository(start)
    data, expected = root / "data", _recorded(root / "data.dvc")
    if data.is_dir() and folder_md5(data, ALL) == expected:
        yield f"{data} is up to date: its md5 is the one in data.dvc ({expected})"
        yield from _others(data)
        return
    _configure_without_git(root)
    if cache is None:
        yield "downloading from the repositories in upstream/raw/*.dvc (without a network, use --cache DIR)"
    else:
        yield _seed(root, cache)
    with _own_files_aside(data):
        _pull(root, seeded=cache is not None)
    if (found := folder_md5(data, ALL)) != expected:
        raise ValueError(
            f"{data} has md5 {found}; data.dvc expects {expected}. The files were changed or the cache is "
            f"damaged: delete both in {root} (rm -r data .dvc/cache) and download again"
        )
    yield f"{data} is complete: its md5 is the one in data.dvc ({expected})"
    yield from _others(data)


def _others(data: Path) -> Iterator[str]:
    if names := foreign(data, ALL):
        yield f"ignored files that are not part of the data: {listed(names)}"


@contextlib.contextmanager
def _own_files_aside(data: Path) -> Iterator[None]:
    """Move files that are not part of the data out of the folder while DVC fills it, and back afterwards: DVC
    would refuse to run, or delete them. A call that was killed is made good by the next one."""
    aside = data.with_name(_ASIDE)
    _move_back(aside, data)
    folders = {name.partition("/")[0] for name in ALL}
    entries = [path for path in data.glob("*") if path.name not in folders]
    entries += [data / name for name in foreign(data, ALL) if name.partition("/")[0] in folders]
    for path in entries:
        target = aside / path.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    try:
        yield
    finally:
        _move_back(aside, data)


def _move_back(aside: Path, data: Path) -> None:
    """Move the content of a folder into `data`, and remove the folder."""
    for path in [*aside.glob("*")]:
        target = data / path.name
        if path.is_dir() and not path.is_symlink() and target.is_dir():
            _move_back(path, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    if aside.is_dir():
        aside.rmdir()


def _configure_without_git(root: Path) -> None:
    """Set DVC's core.no_scm in a copy of the repository without .git; git would ignore the written files."""
    if not (root / ".git").exists():
        for folder in (root, root / "upstream"):
            _dvc(folder, "config", "--local", "core.no_scm", "true")


def _pull(root: Path, *, seeded: bool) -> None:
    """Run `dvc pull`; explain its most common errors."""
    try:
        _dvc(root, "pull")
    except ValueError as error:
        data, output = root / "data", str(error)
        kept = [line for line in output.splitlines() if line.startswith(f"{data}/")]
        if kept:
            names = listed([str(Path(line).relative_to(data)) for line in kept])
            raise ValueError(
                f"DVC does not overwrite files in {data} that were changed or were not written by DVC: "
                f"{names}. Move them to another folder, then run the command again"
            ) from error
        advice = _SEEDED if seeded else _OFFLINE
        sample = "To use the synthetic sample instead, set `--data.root sample`."
        raise ValueError(f"{output}\n{advice} {sample}") from error


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
            f"{file} is damaged ({reason}); restore it from the repository: git checkout data.dvc"
        ) from error


def _seed(root: Path, cache: Path) -> str:
    """Copy missing objects from another cache into this one. Checks their hashes, because DVC does not."""
    objects = [path for path in (cache / "files" / "md5").glob("*/*") if _OBJECT.fullmatch(path.name)]
    if not objects:
        raise FileNotFoundError(
            f"{cache} is not a DVC cache: it has no files/md5/*/*; expected a copy of .dvc/cache"
        )
    target = Path(_dvc(root, "cache", "dir").strip())
    copied = 0
    for path in objects:
        name = path.parent.name + path.name
        if md5(path) != name.removesuffix(".dir"):
            raise ValueError(
                f"{path} is damaged: its md5 is {md5(path)}; expected {name}, as in its name; copy it again"
            )
        destination = target / path.relative_to(cache)
        if not destination.exists():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, destination)
            copied += 1
    return f"copied {copied} of {len(objects)} objects from {cache} to {target}; no network is needed"


def _dvc(root: Path, *arguments: str) -> str:
    """Run DVC and return its output. Runs in the root, to which `upstream` in data.dvc is relative."""
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    output = done.stderr.strip().splitlines() or ["no error message"]
    if _NO_DVC in output[-1]:
        raise ValueError("DVC is not installed; run `make setup`, or `pip install 'tweetelm[data]'`")
    errors = [line for line in output if line.startswith("ERROR")] or output
    unsaved = [line for line in output if line.startswith(f"{root}/")]
    raise ValueError(
        "\n".join([f"`dvc {' '.join(arguments)}` failed in {root}: {'; '.join(errors)}", *unsaved])
    )
