"""See, choose, check and hand on published versions."""

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
from tweetelm.registry.download import export
from tweetelm.registry.push import plan, push
from tweetelm.registry.store import Store, open_store
from tweetelm.registry.verify import pointer_fault, served, unfinished
from tweetelm.registry.verify import verify as verify_version
from tweetelm.registry.versions import (
    DEFAULT_REGISTRY,
    list_versions,
    promote,
    read_card,
    resolve,
    rollback,
    version_names,
)
from tweetelm.tasks import TASKS, TaskName

Registry = Annotated[str, tyro.conf.arg(help="Folder or URL (s3://…, gs://…, az://…) of published models.")]
Task = Annotated[TaskName, tyro.conf.Positional]
Version = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VERSION")]
OptionalVersion = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[VERSION]")]
COLUMNS = ("", "version", "metric", "validation", "test", "model", "data", "created")


def list_(registry: Registry = DEFAULT_REGISTRY) -> None:
    """All versions of all tasks, newest first; * marks the one that is served."""
    rows = [row for task in TASKS for row in _rows(task, registry)]
    faults = [fault for task in TASKS for fault in _faults(task, registry)]
    if rows:
        print(table([COLUMNS, *rows]))
    if faults:
        print("\n".join(faults))
    if not rows and not faults:
        print(
            f"nothing is published in {registry}; train a model with `python -m ray_jobs.train --task hate`"
        )


def show(
    task: Task,
    version: OptionalVersion = None,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """The card of a version, by default the one that is served."""
    print(read_card(task, registry=registry, version=version).to_json(), end="")


def diff(a: Version, b: Version, registry: Registry = DEFAULT_REGISTRY) -> None:
    """What two versions differ in, and their metrics side by side.

    Args:
        a: hate/20261121-abc123 as `list` shows it, or hate for the one that is served.
        b: likewise.
        registry: folder or URL of published models.
    """
    left, right = _named(a, registry), _named(b, registry)
    names = [f"{card.task}/{card.version}" for card in (left, right)]
    settings = differences(left, right)
    print(table([("setting", *names), *settings]) if settings else "the settings are the same")
    print()
    print(table([("measure", *names, "difference"), *measures(left, right)]))


def promote_(task: Task, version: Version, registry: Registry = DEFAULT_REGISTRY) -> None:
    """Serve a version, whatever its metric."""
    promote(task, version, registry=registry)
    print(f"{task}: {version} is current")


def rollback_(task: Task, registry: Registry = DEFAULT_REGISTRY) -> None:
    """Serve the version that was served before; again, to undo it."""
    print(f"{task}: {rollback(task, registry=registry)} is current")


def verify(
    task: Annotated[TaskName | None, tyro.conf.Positional] = None,
    version: OptionalVersion = None,
    all: bool = False,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Compare every file with the sha256 in its version's card; exit status 1 if one differs, is missing or
    should not be there.

    Args:
        task: by default every task.
        version: by default the one that is served.
        all: every version, not only what is served.
        registry: folder or URL of published models.
    """
    if all and version:
        raise ValueError(f"--all and the version {version} exclude each other; leave out one of them")
    store, tasks = open_store(registry), [task] if task else list(TASKS)
    bad = [fault for each in tasks if (fault := pointer_fault(store, each))]
    print("\n".join(bad), end="\n" if bad else "")
    checked = [(each, name) for each in tasks for name in _to_verify(store, each, version, all)]
    if not checked and not bad:
        raise FileNotFoundError(f"nothing is published in {registry}: there is nothing to verify")
    damaged = [name for name in checked if not _verified(store, *name)]
    if bad or damaged:
        sys.exit(f"{len(damaged)} of {len(checked)} versions are damaged")


def export_(
    task: Task,
    version: Version,
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")],
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """Copy a version to a new folder that loads with transformers and with Predictor."""
    store, card = open_store(registry), read_card(task, registry=registry, version=version)
    folder = Path(expanded(str(folder)))
    export(store, f"{task}/versions/{version}", card, folder)
    print(f"{task}/{version} is in {folder}, {len(card.files) + 1} files, checked")


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
        task: hate or deepfake.
        version: as `list` shows it.
        hub_id: owner/name; made if there is none.
        public: let everybody see it. Read the licenses in the version's README.md first. The card names the
            run's storage and settings.
        dry_run: say what would be uploaded, and where to; upload nothing.
        registry: folder or URL of published models.
    """
    card = read_card(task, registry=registry, version=version)
    folder = resolve(task, registry=registry, version=version)
    if dry_run:
        print("\n".join(plan(folder, card, hub_id)))
    else:
        print(push(folder, card, hub_id, public=public))


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _rows(task: str, registry: str) -> list[tuple[str, ...]]:
    current = served(open_store(registry), task)
    return [_row(card, card.version == current) for card in list_versions(task, registry=registry)]


def _faults(task: str, registry: str) -> list[str]:
    """A line for each thing of a task that `list` cannot show."""
    store = open_store(registry)
    shown = {card.version for card in list_versions(task, registry=registry)}
    hidden = set(version_names(store, task)) - shown - set(unfinished(store, task))
    lines = [f"{task}/{name}: its card is damaged or missing; see verify --all" for name in sorted(hidden)]
    fault = pointer_fault(store, task)
    return [*lines, fault] if fault else lines


def _row(card: Card, current: bool) -> tuple[str, ...]:
    return (
        "*" if current else "",
        f"{card.task}/{card.version}",
        card.metric,
        *(_number(card.metrics.get(split, {}).get(card.metric)) for split in ("validation", "test")),
        card.base["name"] + {"random": " (random)", "scratch": "", "pretrained": ""}[card.base["init"]],
        "synthetic" if card.data["synthetic"] else card.data["md5"][:8],
        card.created[:16].replace("T", " "),
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _named(name: str, registry: str) -> Card:
    """The card of hate/VERSION, or of what is served as hate."""
    task, _, version = name.partition("/")
    if task not in TASKS:
        raise ValueError(f"{name!r} is no version; expected TASK/VERSION as `list` shows it, or a task")
    return read_card(task, registry=registry, version=version or None)


def _to_verify(store: Store, task: str, version: str | None, every: bool) -> list[str]:
    if version:
        return [version]
    names = version_names(store, task)
    if every:
        open_ends = unfinished(store, task)
        for name in open_ends:
            print(f"{task}/{name}: unfinished, and no version; publishing the same model again finishes it")
        return [name for name in names if name not in open_ends]
    current = served(store, task)
    return [current] if current in names else []


def _verified(store: Store, task: str, version: str) -> bool:
    found = verify_version(store, task, version)
    for file, what in found.items():
        print(f"{task}/{version}: {printable(file)} {printable(what)}")
    if not found:
        print(f"{task}/{version}: whole")
    return not found


def main() -> None:
    """Run one verb from the command line; a mistake of the user's is one line, not a traceback."""
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
