"""Which bytes a dataset was: the hash that DVC gives a folder with nothing but the files that are read."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tweetelm.data.load import SAMPLE, folder, load
from tweetelm.data.published_files import FILES
from tweetelm.files.hashing import md5
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
    md5 = folder_md5(folder(task, root), FILES[task.name])
    sample = folder_md5(folder(task, SAMPLE), FILES[task.name])
    return Provenance(root=str(root), md5=md5, synthetic=md5 == sample, rows=rows)


def folder_md5(where: Path, files: Iterable[str]) -> str:
    """The md5 of DVC's listing of a folder: a JSON array of each file's md5 and relative path, by path.

    Args:
        where: the folder.
        files: paths of those that count; what is not there is not listed, nor is anything else.
    """
    found = [(name, where / name) for name in sorted(files) if (where / name).is_file()]
    listing = [{"md5": md5(path), "relpath": name} for name, path in found]
    return md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"
