"""List, compare, promote, verify and export published versions."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from tweetelm.cli import command
from tweetelm.files.names import printable
from tweetelm.files.paths import expanded
from tweetelm.registry.card import Card
from tweetelm.registry.compare import differences, measures
from tweetelm.registry.exports import Format
from tweetelm.registry.listing import COLUMNS, faults_of, rows_of, table
from tweetelm.registry.push import plan, push
from tweetelm.registry.store import Store, open_store
from tweetelm.registry.verify import pointer_fault, served, unfinished
from tweetelm.registry.verify import verify as verify_version
from tweetelm.registry.versions import (
    DEFAULT_REGISTRY,
    promote,
    read_card,
    resolve,
    rollback,
    tasks,
    version_names,
)
from tweetelm.tasks import task_name

TASK_HELP = "A task of the registry, by its name or task file."
Registry = Annotated[str, tyro.conf.arg(help="Folder or URL (s3://…, gs://…, az://…) of published models.")]
Task = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TASK", help=TASK_HELP)]
OptionalTask = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[TASK]", help=TASK_HELP)]
Version = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VERSION")]
OptionalVersion = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[VERSION]")]


def list_(registry: Registry = DEFAULT_REGISTRY) -> None:
    """List the versions of all tasks, newest first; * marks the current version."""
    found = tasks(registry)
    rows = [row for task in found for row in rows_of(task, registry)]
    faults = [fault for task in found for fault in faults_of(task, registry)]
    if rows:
        print(table([COLUMNS, *rows]))
    if faults:
        print("\n".join(faults))
    if not rows and not faults:
        print(
            f"{registry} has no published version; train a model with `python -m ray_jobs.train --task hate`"
        )


def show(
    task: Task,
    version: OptionalVersion = None,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Print the card of a version; by default, the current version."""
    print(read_card(task_name(task), registry=registry, version=version).to_json(), end="")


def diff(a: Version, b: Version, registry: Registry = DEFAULT_REGISTRY) -> None:
    """Compare two versions: settings that differ, and metrics.

    Args:
        a: a version as in `list`, such as hate/20261121-abc123, or a task for its current version.
        b: the version to compare with, in the same form.
        registry: folder or URL of published models.
    """
    left, right = _named(a, registry), _named(b, registry)
    names = [f"{card.task}/{card.version}" for card in (left, right)]
    settings = differences(left, right)
    print(table([("setting", *names), *settings]) if settings else "the settings are equal")
    print()
    print(table([("measure", *names, "difference"), *measures(left, right)]))


def promote_(task: Task, version: Version, registry: Registry = DEFAULT_REGISTRY) -> None:
    """Make a version current, regardless of its metric."""
    task = task_name(task)
    promote(task, version, registry=registry)
    print(f"{task}: {version} is current")


def rollback_(task: Task, registry: Registry = DEFAULT_REGISTRY) -> None:
    """Make the previous version current. A second rollback undoes the first."""
    task = task_name(task)
    print(f"{task}: {rollback(task, registry=registry)} is current")


def verify(
    task: OptionalTask = None,
    version: OptionalVersion = None,
    all: bool = False,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Compare the files of versions with the sha256 in their cards. The exit status is 1 if a file differs,
    is missing or is unexpected.

    Args:
        task: the task; by default, all tasks.
        version: the version; by default, the current version.
        all: verify all versions, not only the current ones.
        registry: folder or URL of published models.
    """
    if all and version:
        raise ValueError(f"--all and the version {version} exclude each other; expected only one of them")
    store, chosen = open_store(registry), [task_name(task)] if task else tasks(registry)
    bad = [fault for each in chosen if (fault := pointer_fault(store, each))]
    print("\n".join(bad), end="\n" if bad else "")
    checked = [(each, name) for each in chosen for name in _to_verify(store, each, version, all)]
    if not checked and not bad:
        raise FileNotFoundError(
            f"{registry} has no published version to verify; choose another registry with --registry"
        )
    damaged = [name for name in checked if not _verified(store, *name)]
    if bad or damaged:
        sys.exit(f"{len(damaged)} of {len(checked)} versions are damaged")


def export_(
    task: Task,
    version: Version,
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")],
    format: Format = "tweetelm",
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Export a version to a new folder, and check its probabilities against `Predictor` to 1e-5.

    Args:
        task: the task.
        version: a version as in `list`.
        folder: the new folder.
        format: tweetelm and transformers: the checkpoint, checked with the library of that name. torch_export
            (model.pt2) and onnx (model.onnx): one graph from padded token ids and a mask to probabilities.
        registry: folder or URL of published models.
    """
    from tweetelm.registry.exports.formats import export_as  # takes seconds: it imports torch

    task = task_name(task)
    store, card = open_store(registry), read_card(task, registry=registry, version=version)
    folder = Path(expanded(str(folder)))
    error = export_as(format, store, card, folder)
    files = sum(path.is_file() for path in folder.rglob("*"))
    print(f"exported {task}/{version} to {folder}: {format}, {files} files, largest difference {error:.1e}")


def push_(
    task: Task,
    version: Version,
    hub_id: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="HUB_ID")],
    public: bool = False,
    dry_run: bool = False,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Upload a version to a repository on the model hub.

    Args:
        task: a task's name or file.
        version: a version as in `list`.
        hub_id: owner/name of the repository, which is created if it does not exist.
        public: make a new repository public. Read the licenses in the version's README.md first. The card
            contains the run's storage location and settings.
        dry_run: print the files and the target; upload nothing.
        registry: folder or URL of published models.
    """
    task = task_name(task)
    card = read_card(task, registry=registry, version=version)
    folder = resolve(task, registry=registry, version=version)
    if dry_run:
        print("\n".join(plan(folder, card, hub_id)))
    else:
        print(push(folder, card, hub_id, public=public))


def _named(name: str, registry: str) -> Card:
    """The card of TASK/VERSION, or of the current version of TASK."""
    task, _, version = name.partition("/")
    if task not in tasks(registry):
        raise ValueError(f"{name!r} is not a version; expected TASK/VERSION as in `list`, or a task")
    return read_card(task, registry=registry, version=version or None)


def _to_verify(store: Store, task: str, version: str | None, every: bool) -> list[str]:
    if version:
        return [version]
    names = version_names(store, task)
    if every:
        incomplete = unfinished(store, task)
        for name in incomplete:
            print(f"{task}/{name}: incomplete, not a version; publish the same model again to complete it")
        return [name for name in names if name not in incomplete]
    current = served(store, task)
    return [current] if current in names else []


def _verified(store: Store, task: str, version: str) -> bool:
    found = verify_version(store, task, version)
    for file, what in found.items():
        print(f"{task}/{version}: {printable(file)} {printable(what)}")
    if not found:
        print(f"{task}/{version}: intact")
    return not found


def main() -> None:
    """Run one command; user errors are printed as one line, without a traceback."""
    verbs: dict[str, Callable[..., Any]] = {
        "list": list_,
        "show": show,
        "diff": diff,
        "promote": promote_,
        "rollback": rollback_,
        "verify": verify,
        "export": export_,
        "push": push_,
    }
    try:
        command.run_verb(verbs, module="tweetelm.registry", about=__doc__ or "")
    except BrokenPipeError:
        raise
    except command.EXPLAINED as error:
        sys.exit(command.message(error))


if __name__ == "__main__":
    command.run(main, interrupted="")
