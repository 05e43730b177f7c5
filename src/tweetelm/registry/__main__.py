"""See and choose which published version is served: list, show, promote, rollback."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import tyro

from tweetelm.registry.card import Card
from tweetelm.registry.versions import (
    DEFAULT_REGISTRY,
    current_version,
    list_versions,
    promote,
    read_card,
    rollback,
)
from tweetelm.tasks import TASKS, TaskName

Registry = Annotated[str, tyro.conf.arg(help="Folder or URL (s3://…) of published models.")]
Task = Annotated[TaskName, tyro.conf.Positional]
COLUMNS = ("", "version", "metric", "validation", "test", "model", "data", "created")


def list_(registry: Registry = DEFAULT_REGISTRY) -> None:
    """All versions of all tasks, newest first; * marks the one that is served."""
    rows = [row for task in TASKS for row in _rows(task, registry)]
    if not rows:
        print(
            f"nothing is published in {registry}; train a model with `python -m ray_jobs.train --task hate`"
        )
        return
    print(table([COLUMNS, *rows]))


def show(
    task: Task,
    version: Annotated[str | None, tyro.conf.Positional] = None,
    registry: Registry = DEFAULT_REGISTRY,
) -> None:
    """The card of a version, by default the one that is served."""
    print(read_card(task, registry=registry, version=version).to_json(), end="")


def promote_(
    task: Task, version: Annotated[str, tyro.conf.Positional], registry: Registry = DEFAULT_REGISTRY
) -> None:
    """Serve a version, whatever its metric."""
    promote(task, version, registry=registry)
    print(f"{task}: {version} is current")


def rollback_(task: Task, registry: Registry = DEFAULT_REGISTRY) -> None:
    """Serve the version that was served before; again, to undo it."""
    print(f"{task}: {rollback(task, registry=registry)} is current")


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _rows(task: str, registry: str) -> list[tuple[str, ...]]:
    current = current_version(task, registry=registry)
    return [_row(card, card.version == current) for card in list_versions(task, registry=registry)]


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


def main() -> None:
    """Run one verb from the command line; a mistake of the user's is one line, not a traceback."""
    verbs: dict[str, Callable[..., Any]] = {
        "list": list_,
        "show": show,
        "promote": promote_,
        "rollback": rollback_,
    }
    try:
        tyro.extras.subcommand_cli_from_dict(verbs, prog="python -m tweetelm.registry", description=__doc__)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
