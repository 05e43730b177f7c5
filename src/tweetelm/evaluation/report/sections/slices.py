"""Slices of the test split: duplicates of training tweets, length, links and mentions, generators."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tweetelm.evaluation.bootstrap import confusion, interval, macro_f1
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Cell, Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import bar_figure, errors

Mask = npt.NDArray[np.bool_]
MOST = 20  # values of a slice column in a table
FEWEST = 20  # tweets per label; macro-F1 of fewer is noise
_LINK = re.compile(r"\bhttp\b")
_MENTION = re.compile(r"@user\b")


def overlap(context: ReportContext) -> Section | None:
    """Test tweets with and without a duplicate in train, and by whether the duplicate has the same label."""
    if "train" not in context.dataset:
        return None
    raw = {name: list(context.dataset[name]["text"]) for name in (context.final, "train")}
    tables = [
        _duplicates(context, raw, "identical"),
        _duplicates(context, context.plain, "equal after normalization"),
    ]
    rows = [row for row in tables[1].rows if isinstance(row[3], Interval)]
    caption = "Error rate with and without a duplicate in train (normalized), with 95 % intervals."
    return Section(
        title="Tweets that are also in train",
        text=(_dropped(context),),
        tables=tuple(tables),
        figures=(_errors("duplicates", caption, rows),) if len(rows) > 2 else (),
    )


def _errors(
    name: str, caption: str, rows: Sequence[tuple[Cell, ...]], reference: float | None = None
) -> Figure:
    """Bars of 1 - accuracy, for rows of `_table` and `_generators`."""
    marks = [
        errors(str(row[0]), right, strong=row[0] == "all")
        for row in rows
        for right in row[2:4]
        if isinstance(right, Interval)
    ]
    return bar_figure(name, caption, marks, axis="error rate", reference=reference)


def _duplicates(context: ReportContext, texts: dict[str, list[str]], kind: str) -> Table:
    labels, seen = context.result.labels, context.labels("train")
    duplicate, opposite = find_duplicates(texts[context.final], labels, texts["train"], seen)
    masks = {
        "all": np.ones(len(duplicate), dtype=bool),
        "without a duplicate": ~duplicate,
        "with a duplicate": duplicate,
        "duplicate with the same label": duplicate & ~opposite,
        "duplicate with another label": opposite,
    }
    return _table(context, masks, f"A duplicate in train is {kind}.")


def find_duplicates(
    texts: Sequence[str], labels: npt.NDArray[np.int64], train: Sequence[str], seen: npt.NDArray[np.int64]
) -> tuple[Mask, Mask]:
    """Masks (N,) of texts that are in `train`, and of those that are there with another label."""
    known: dict[str, set[int]] = defaultdict(set)
    for text, label in zip(train, seen, strict=True):
        known[text].add(int(label))
    found = [known.get(text, set()) for text in texts]
    duplicate = np.asarray([bool(known_labels) for known_labels in found])
    opposite = np.asarray(
        [bool(known_labels - {int(y)}) for known_labels, y in zip(found, labels, strict=True)]
    )
    return duplicate, opposite


def parts(context: ReportContext) -> Section:
    """By generator (if the task has them), length, links and mentions."""
    plain = context.plain[context.final]
    tables = [_table(context, dict(_surface(plain)), "By length, links and mentions.")]  # fmt: skip
    tables = [*_by_columns(context), *tables]
    text = (
        "Accuracy has Wilson's 95 % interval, macro-F1 the bootstrap's. Macro-F1 needs at least "
        f"{FEWEST} tweets of each label. In a slice with one label, accuracy is the recall of that label.",
        "By default the model sees links and mentions masked (text settings).",
    )
    overall = float((context.result.labels != context.result.predicted).mean())
    caption = "Error rate by slice, with 95 % intervals. Dotted: all tweets."
    rows = [row for table in tables for row in table.rows]
    figure = _errors("slices", caption, rows, overall)
    return Section(title="Errors by slice", text=text, tables=tuple(tables), figures=(figure,))


def _surface(texts: list[str]) -> Iterator[tuple[str, Mask]]:
    lengths = np.asarray([len(text) for text in texts])
    ends = [int(end) for end in np.quantile(lengths, [0.25, 0.5, 0.75], method="lower")]
    bounds = [-1, *ends, int(lengths.max())]
    for low, high in pairwise(bounds):
        yield f"{low + 1} to {high} characters", (lengths > low) & (lengths <= high)
    for name, pattern in (("link", _LINK), ("mention", _MENTION)):
        has = np.asarray([bool(pattern.search(text)) for text in texts])
        yield from ((f"with a {name}", has), (f"without a {name}", ~has))


def _table(context: ReportContext, masks: dict[str, Mask], caption: str) -> Table:
    rows = tuple(_row(name, mask, context) for name, mask in masks.items())
    task = context.task
    share = f"true share of {task.positive}" if task.binary else "most frequent label"
    columns = ("slice", "tweets", share, "accuracy", "macro-F1")
    return Table(columns=columns, rows=rows, caption=caption)


def _row(name: str, mask: Mask, context: ReportContext) -> tuple[Cell, ...]:
    labels, predicted = context.result.labels[mask], context.result.predicted[mask]
    if not len(labels):
        return (name, 0, None, None, None)
    task = context.task
    table = confusion(labels, predicted, len(task.labels))
    counts = table.sum(axis=1)
    fewest = counts.min() if task.binary else counts[counts > 0].min() * ((counts > 0).sum() > 1)
    f1: Interval | None = interval(table, macro_f1) if fewest >= FEWEST else None
    right = wilson(int((labels == predicted).sum()), len(labels))
    common = int(counts.argmax())
    most = f"{task.labels[common]} ({counts[common] / len(labels):.0%})"
    share: Cell = float(counts[-1] / len(labels)) if task.binary else most
    return (name, len(labels), share, right, f1)


def _by_columns(context: ReportContext) -> list[Table]:
    """A table per slice column of the task; of deepfake, per generator beside published results."""
    if context.task.suite == "deepfake":
        return [_generators(context)]
    tables = []
    for column in context.task.slices:
        values = np.asarray(context.dataset[context.final][column])
        names, counts = np.unique(values, return_counts=True)
        shown = names[np.argsort(-counts, kind="stable")[:MOST]]
        more = f" The {MOST} largest of {len(names)}." if len(names) > MOST else ""
        masks = {f"{column} = {name}": values == name for name in shown}
        tables.append(_table(context, masks, f"By {column}.{more}"))
    return tables


def _generators(context: ReportContext) -> Table:
    """Accuracy per generator, beside published results."""
    task = context.task
    values = np.asarray(context.dataset[context.final][task.group_column])
    right = context.result.labels == context.result.predicted
    others = [] if context.provenance.synthetic else [p for p in task.published if p.per_group]
    rows: list[tuple[Cell, ...]] = []
    for value in sorted(set(values.tolist())):
        selected = right[values == value]
        published = (dict(p.per_group).get(value) for p in others)
        rows.append((value, len(selected), wilson(int(selected.sum()), len(selected)), *published))
    columns = (str(task.group_column), "tweets", "accuracy", *(p.system for p in others))
    return Table(
        columns=columns, rows=tuple(rows), caption="By generator. The row `human` is the recall of human."
    )


def _dropped(context: ReportContext) -> str:
    data = context.card.config.get("data", {}) if context.card else {}
    if data.get("drop_overlap"):
        return "These rows were removed from train: the model has not seen them (`--data.drop-overlap`)."
    if data:
        return "The model has seen these tweets in training (`--data.no-drop-overlap`)."
    return "The model has no card: it is unknown whether it has seen these tweets in training."
