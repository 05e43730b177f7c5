"""The identity of a dataset: DVC's hash of a folder that contains only the files that are read."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tweetelm.data.load import SAMPLE, folder, load, own_source
from tweetelm.data.mix.lineage import MixLineage, read_lineage
from tweetelm.data.own_data import own_md5
from tweetelm.data.published_files import FILES
from tweetelm.data.source_files import find_files
from tweetelm.data.unlabeled import UnlabeledFiles
from tweetelm.files.hashing import md5
from tweetelm.files.paths import is_url
from tweetelm.tasks import TASKS, Task, TaskData


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """The origin of a dataset's rows; part of every card.

    Attributes:
        root: the folder or URL that was read, or `sample`.
        md5: DVC's hash of the folder (32 hexadecimal digits and `.dir`); equal for equal bytes.
        synthetic: whether the files are those of the embedded sample, in any folder, or mixed with them.
        rows: number of rows by split.
        unlabeled: the origin of a run's unlabeled tweets for language modeling, if it has some.
        distilled: the origin of a run's unlabeled tweets that a teacher answered, if it has some.
        mix: the recipe and parts of a mixed dataset.
    """

    root: str
    md5: str
    synthetic: bool
    rows: dict[str, int]
    unlabeled: UnlabeledFiles | None = None
    distilled: UnlabeledFiles | None = None
    mix: MixLineage | None = None


def provenance(task: Task, root: str | Path) -> Provenance:
    """Hash the files and count the rows that `load(task, root)` reads. Raises the errors of `load`."""
    rows = {split: dataset.num_rows for split, dataset in load(task, root).items()}
    if task.data is not None:
        data = own_source(task, root)
        mix = _mix(data)
        base = mix.base if mix else {}
        synthetic = any(name in TASKS and md5 == _sample_md5(TASKS[name]) for name, md5 in base.items())
        return Provenance(root=data.place, md5=own_md5(task, data), synthetic=synthetic, rows=rows, mix=mix)
    md5 = folder_md5(folder(task, root), FILES[task.name])
    return Provenance(root=str(root), md5=md5, synthetic=md5 == _sample_md5(task), rows=rows)


def _sample_md5(task: Task) -> str:
    return folder_md5(folder(task, SAMPLE), FILES[task.name])


def _mix(data: TaskData) -> MixLineage | None:
    """The lineage of a mixed dataset, whose files are in the folder of its task file."""
    if data.folders or is_url(data.place):
        return None
    return read_lineage(Path(data.place), [file for part in find_files(data).values() for file in part])


def folder_md5(where: Path, files: Iterable[str]) -> str:
    """The md5 of DVC's listing of a folder: a JSON array of the md5 and relative path of each file, by path.

    Args:
        where: the folder.
        files: relative paths to list; other files and missing files are not listed.
    """
    found = [(name, where / name) for name in sorted(files) if (where / name).is_file()]
    listing = [{"md5": md5(path), "relpath": name} for name, path in found]
    return md5(json.dumps(listing, sort_keys=True).encode()) + ".dir"
