"""Write a task file for your own tweets, check a dataset, mix one, download the built-in datasets."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from tweetelm.cli import command
from tweetelm.data.audit.check import Report, check, lines, remarks
from tweetelm.data.download import pull
from tweetelm.data.new_task import write_task
from tweetelm.files import atomic
from tweetelm.files.paths import expanded
from tweetelm.tasks import Task, read_task

Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Positional = Annotated[Task, tyro.conf.Positional]


def init(
    file: Source,
    text: str | None = None,
    label: str | None = None,
    group: str | None = None,
    force: bool = False,
) -> None:
    """Write the task file of your own labeled tweets into this folder, and check the data.

    Args:
        file: CSV, TSV, JSON lines or Parquet: a file, a pattern in quotes such as "tweets/*.csv", or a URL;
            or a folder in TweetEval's layout, which needs no columns.
        text: column with the tweet.
        label: column with the label.
        group: column whose values must not be divided between training and test, such as the author.
        force: replace an existing task file.
    """
    path = write_task(file, Path.cwd(), text=text, label=label, group=group, force=force)
    print(f"wrote {path.name}; edit it to change the order of the labels, the metric or the splits\n")
    _print_check(read_task(path), "data")
    print(
        "\nnext:\n"
        f"  tweetelm train --task {shlex.quote(path.name)} --model.name scratch-4m   # minutes on a CPU\n"
        f"  tweetelm train --task {shlex.quote(path.name)}                           # OpenELM 270M, on a GPU"
    )


def check_(
    task: Positional,
    root: str = "data",
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None,
) -> None:
    """Report counts, duplicates, contradictions, leakage between splits, and damaged text.

    Args:
        task: the task, by its name or file.
        root: folder or URL of the datasets, or `sample`. For a task of your own: the folder that its paths
            are relative to, if it is not that of its file.
        json: also write the report to this file as JSON; `-` prints JSON only.
    """
    if json == "-":
        print(_json(check(task, root)))
        return
    report = _print_check(task, root)
    if json:
        atomic.write_text(Path(expanded(json)), _json(report) + "\n")
        print(f"written to {json}")


def mix_(
    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE.toml")],
    root: str = "data",
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None,
    replace: bool = False,
) -> None:
    """Mix a new dataset from a base task and further parts, by a recipe, and check it.

    Args:
        recipe: TOML file that names the base, the parts and the rules.
        root: folder or URL of the base's data, or `sample`.
        out: folder of the dataset. Default: data/mixed/NAME.
        replace: replace another mixed dataset in that folder.
    """
    from tweetelm.data.mix.build import mix  # takes seconds: it imports scikit-learn
    from tweetelm.data.mix.place import put_back
    from tweetelm.data.mix.recipe_file import read_recipe
    from tweetelm.data.mix.summary import summary
    from tweetelm.data.mix.write import write

    read = read_recipe(Path(expanded(str(recipe))))
    folder = Path("data", "mixed", read.name) if out is None else Path(expanded(str(out)))
    if put_back(folder):
        print(f"put back {folder}, which an interrupted --replace had moved away", flush=True)
    made = mix(read, root)
    written = write(made, folder, root, replace=replace)
    print("\n".join(summary(made, written)))


def pull_(cache: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None) -> None:
    """Download both built-in datasets with DVC and verify their hashes.

    Args:
        cache: copy the data from this DVC cache; needs no network.
    """
    for line in pull(Path.cwd(), cache=None if cache is None else Path(expanded(str(cache)))):
        print(line, flush=True)


def _print_check(task: Task, root: str) -> Report:
    for line in remarks(task, root):
        print(line, flush=True)  # before the check, which fails on damaged data
    report = check(task, root)
    print("\n".join(lines(report)))
    return report


def _json(report: Report) -> str:
    data = dataclasses.asdict(report)
    data["findings"] = [
        {**dataclasses.asdict(finding), "status": finding.status} for finding in report.findings
    ]
    return json.dumps(data, indent=2, ensure_ascii=False)


def main() -> int:
    """Run a verb. If it fails, print the reason to standard error and return exit status 1."""
    verbs: dict[str, Callable[..., Any]] = {"init": init, "check": check_, "mix": mix_, "pull": pull_}
    try:
        command.run_verb(verbs, module="tweetelm.data", about=__doc__ or "")
    except BrokenPipeError:
        raise
    except command.EXPLAINED as error:
        print(f"error: {command.message(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    command.run(main, interrupted="")
