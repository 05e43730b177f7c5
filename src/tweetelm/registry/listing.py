"""The table of `tweetelm registry list`."""

from tweetelm.registry.card import Card
from tweetelm.registry.store import open_store
from tweetelm.registry.verify import pointer_fault, served, unfinished
from tweetelm.registry.versions import list_versions, version_names

COLUMNS = ("", "version", "metric", "validation", "test", "model", "data", "created")


def table(rows: list[tuple[str, ...]]) -> str:
    """Format rows as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def rows_of(task: str, registry: str) -> list[tuple[str, ...]]:
    """One row per version of a task, newest first."""
    current = served(open_store(registry), task)
    return [_row(card, card.version == current) for card in list_versions(task, registry=registry)]


def faults_of(task: str, registry: str) -> list[str]:
    """One line per damaged version or pointer of a task, which `list` cannot show."""
    store = open_store(registry)
    shown = {card.version for card in list_versions(task, registry=registry)}
    hidden = set(version_names(store, task)) - shown - set(unfinished(store, task))
    lines = [f"{task}/{name}: its card is damaged or missing; run verify --all" for name in sorted(hidden)]
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
