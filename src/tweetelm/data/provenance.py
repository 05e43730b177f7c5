"""The identity of a dataset: DVC's hash of a folder that contains only the files that are read."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tweetelm.data.load import SAMPLE, folder, load, own_source
from tweetelm.data.own_data import own_md5
from tweetelm.data.published_files import FILES
from tweetelm.data.unlabeled import UnlabeledFiles
from tweetelm.files.hashing import md5
from tweetelm.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a dataset's rows; part of every card.

    Attributes:
        root: the folder or URL that was read, or `sample`.
        md5: DVC's hash of the folder (32 hexadecimal digits and `.dir`); equal for equal bytes.
        synthetic: whether the files are those of the embedded sample, in any folder.
        rows: number of rows by split.
        unlabeled: the origin of a run's unlabeled tweets, if it has some.
    """

    root: str
    md5: str
    synthetic: bool
    rows: dict[str, int]
    unlabeled: UnlabeledFiles | None = None


def provenance(task: Task, root: str | Path) -> Provenance:
    """Hash the files and count the rows that `load(task, root)` reads. Raises the errors of `load`."""
    rows = {split: dataset.num_rows for split, dataset in load(task, root).items()}
    if task.data is not None:
        data = own_source(task, root)
        return Provenance(root=data.place, md5=own_md5(task, data), synthetic=False, rows=rows)
    md5 = folder_md5(folder(task, root), FILES[task.name])
    sample = folder_md5(folder(task, SAMPLE), FILES[task.name])
    return Provenance(root=str(root), md5=md5, synthetic=md5 == sample, rows=rows)


def folder_md5(where: Path, files: Iterable[str]) -> str:
    """The md5 of DVC's listing of a folder: a JSON array of the md5 and relative path of each file, by path.

    Args:
        where: the folder.
        files: relative paths to list; other files and missing files are not listed.
    """
    found = [(name, where / name) for name in sorted(files) if (where / name).is_file()]
    listing = [{"md5": md5(path), "relpath": name} for name, path in found]
    return md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"
