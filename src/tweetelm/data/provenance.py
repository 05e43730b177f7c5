"""Which bytes a dataset was: the hash DVC gives a folder, computed over the files that are there."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tweetelm.data.splits import SAMPLE, folder, load
from tweetelm.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a dataset's rows came from; stands in every card.

    `md5` is what DVC calls the folder (32 hexadecimal digits and `.dir`): two datasets with the same one are
    the same bytes. `synthetic` says that this is the embedded sample, whatever folder it was read from.
    """

    root: str
    md5: str
    synthetic: bool
    rows: dict[str, int]


def provenance(task: Task, root: str | Path) -> Provenance:
    """Hash and count the files that `load(task, root)` reads; raises what `load` raises."""
    rows = {split: dataset.num_rows for split, dataset in load(task, root).items()}
    md5 = folder_md5(folder(task, root))
    return Provenance(root=str(root), md5=md5, synthetic=md5 == folder_md5(folder(task, SAMPLE)), rows=rows)


def folder_md5(where: Path) -> str:
    """The md5 of DVC's listing of a folder: a JSON array of each file's md5 and relative path, by path."""
    files = sorted((path.relative_to(where).as_posix(), path) for path in where.rglob("*") if path.is_file())
    listing = [{"md5": file_md5(path), "relpath": name} for name, path in files]
    return (
        hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
    )


def file_md5(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
