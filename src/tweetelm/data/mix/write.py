"""Writes the folder of a mixed dataset: data, task files, card. All files or none."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tweetelm.data.audit.check import check
from tweetelm.data.mix.build import Mix
from tweetelm.data.mix.document import facts, readme, version_of
from tweetelm.data.mix.lineage import MIX_FILE
from tweetelm.data.mix.place import README, check_target, place
from tweetelm.data.mix.recipe import GENERATED_TEST
from tweetelm.data.mix.task_files import table, task_file
from tweetelm.files import atomic
from tweetelm.tasks import read_task


@dataclass(frozen=True, kw_only=True)
class Written:
    """A written dataset.

    Attributes:
        task: its task file.
        test: the task file of `generated-test`; None without one.
        values: the content of mix.json.
        changed: False if the folder had the same content before.
    """

    task: Path
    test: Path | None
    values: Mapping[str, Any]
    changed: bool


def write(made: Mix, folder: Path, root: str, *, replace: bool) -> Written:
    """Write a mixed dataset into a folder, after an audit of it.

    Args:
        made: the dataset.
        folder: the folder, which is made.
        root: the base's data, as for `load`; the audit compares with it.
        replace: replace another dataset that is there.

    Raises:
        FileExistsError: the folder has another content.
        ValueError: the mix.json to replace is damaged.
    """
    check_target(folder)
    with atomic.staging_dir(folder) as staging:
        files = _data_files(made)
        for name, content in files.items():
            atomic.write_through(staging / name, content)
        values = facts(made, files, dict(_new_findings(made, staging, root)))
        more = {MIX_FILE: _json(values), README: readme(made, values).encode()}
        for name, content in more.items():
            atomic.write_through(staging / name, content)
        changed = place(staging, folder, files | more, replace=replace)
    name = made.recipe.name
    test = folder / f"{name}-{GENERATED_TEST}.toml" if GENERATED_TEST in made.splits else None
    return Written(task=folder / f"{name}.toml", test=test, values=values, changed=changed)


def _data_files(made: Mix) -> dict[str, bytes]:
    version, name = version_of(made), made.recipe.name
    files = {f"{split}.csv": table(rows) for split, rows in made.splits.items()}
    files[f"{name}.toml"] = task_file(made, version, test="test.csv").encode()
    if GENERATED_TEST in made.splits:
        generated = task_file(made, version, test=f"{GENERATED_TEST}.csv")
        files[f"{name}-{GENERATED_TEST}.toml"] = generated.encode()
    return files


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def _new_findings(made: Mix, folder: Path, root: str) -> Iterator[tuple[str, int]]:
    """What the audit finds in the dataset and in its generated test, beyond what it finds in the base."""
    base = check(made.base.task, root) if made.base.task else None
    known = {(each.what, each.where): each.rows for each in base.findings} if base else {}
    name = made.recipe.name
    for file in (f"{name}.toml", f"{name}-{GENERATED_TEST}.toml"):
        if not (folder / file).is_file():
            continue
        test = GENERATED_TEST if file != f"{name}.toml" else "test"
        for each in check(read_task(folder / file), "data").findings:
            if (more := each.rows - known.get((each.what, each.where), 0)) > 0:
                yield f"{each.what} ({test if each.where == 'test' else each.where})", more
