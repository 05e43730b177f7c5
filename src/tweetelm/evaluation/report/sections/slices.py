"""The test split in parts: tweets that also stand in train, long and short ones, with and without links."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tweetelm.evaluation.bootstrap import confusion, interval, macro_f1, share
from tweetelm.evaluation.report.context import Evidence
from tweetelm.evaluation.report.document import Cell, Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import bar_figure, errors

Mask = npt.NDArray[np.bool_]
FEWEST = 20  # tweets of each label below which macro-F1 is noise
COLUMNS = ("part", "tweets", "true share of {positive}", "accuracy", "macro-F1")
_LINK = re.compile(r"\bhttp\b")
_MENTION = re.compile(r"@user\b")


def overlap(evidence: Evidence) -> Section | None:
    """With and without test tweets that also stand in train; apart, those whose twin says the opposite."""
    if "train" not in evidence.dataset:
        return None
    raw = {name: list(evidence.dataset[name]["text"]) for name in (evidence.final, "train")}
    tables = [
        _twins(evidence, raw, "identical"),
        _twins(evidence, evidence.plain, "the same when normalized"),
    ]
    twins = [row for row in tables[1].rows if isinstance(row[3], Interval)]
    caption = "Share of tweets mistaken, with and without a twin in train (normalized), with 95 % intervals."
    return Section(
        title="Tweets that also stand in train",
        text=(_dropped(evidence),),
        tables=tuple(tables),
        figures=(_errors("twins", caption, twins),) if len(twins) > 2 else (),
    )


def _errors(
    name: str, caption: str, rows: Sequence[tuple[Cell, ...]], reference: float | None = None
) -> Figure:
    """Bars of what `_table` and `_generators` list as accuracy."""
    marks = [
        errors(str(row[0]), right, strong=row[0] == "all")
        for row in rows
        for right in row[2:4]
        if isinstance(right, Interval)
    ]
    return bar_figure(name, caption, marks, axis="share of tweets mistaken", reference=reference)


def _twins(evidence: Evidence, texts: dict[str, list[str]], kind: str) -> Table:
    labels, seen = evidence.result.labels, evidence.labels("train")
    twin, opposite = find_twins(texts[evidence.final], labels, texts["train"], seen)
    masks = {
        "all": np.ones(len(twin), dtype=bool),
        "without a twin": ~twin,
        "with a twin": twin,
        "twin of the same label": twin & ~opposite,
        "twin of the opposite label": opposite,
    }
    return _table(evidence, masks, f"A twin in train is {kind}.")


def find_twins(
    texts: Sequence[str], labels: npt.NDArray[np.int64], train: Sequence[str], seen: npt.NDArray[np.int64]
) -> tuple[Mask, Mask]:
    """Which texts stand in `train`, and which of those with another label, too."""
    known: dict[str, set[int]] = defaultdict(set)
    for text, label in zip(train, seen, strict=True):
        known[text].add(int(label))
    found = [known.get(text, set()) for text in texts]
    twin = np.asarray([bool(there) for there in found])
    opposite = np.asarray([bool(there - {int(y)}) for there, y in zip(found, labels, strict=True)])
    return twin, opposite


def parts(evidence: Evidence) -> Section:
    """By generator where the task has them, by length, by links and mentions."""
    plain = evidence.plain[evidence.final]
    tables = [_table(evidence, dict(_surface(plain)), "By form; links and mentions are masked for the model "
                     "unless its text settings say otherwise.")]  # fmt: skip
    if evidence.task.group_column:
        tables.insert(0, _generators(evidence))
    text = (
        "Accuracy with Wilson's 95 % interval, macro-F1 with the bootstrap's. A part with fewer "
        f"than {FEWEST} tweets of a label has no macro-F1; with one label alone, accuracy is its recall.",
    )
    overall = float((evidence.result.labels != evidence.result.predicted).mean())
    caption = "Share of tweets mistaken by part, with 95 % intervals. Dotted: all tweets."
    rows = [row for table in tables for row in table.rows]
    figure = _errors("parts", caption, rows, overall)
    return Section(title="In parts", text=text, tables=tuple(tables), figures=(figure,))


def _surface(texts: list[str]) -> Iterator[tuple[str, Mask]]:
    lengths = np.asarray([len(text) for text in texts])
    ends = [int(end) for end in np.quantile(lengths, [0.25, 0.5, 0.75], method="lower")]
    bounds = [-1, *ends, int(lengths.max())]
    for low, high in pairwise(bounds):
        yield f"{low + 1} to {high} characters", (lengths > low) & (lengths <= high)
    for name, pattern in (("link", _LINK), ("mention", _MENTION)):
        has = np.asarray([bool(pattern.search(text)) for text in texts])
        yield from ((f"with a {name}", has), (f"without a {name}", ~has))


def _table(evidence: Evidence, masks: dict[str, Mask], caption: str) -> Table:
    rows = tuple(_row(name, mask, evidence) for name, mask in masks.items())
    columns = tuple(name.format(positive=evidence.task.positive) for name in COLUMNS)
    return Table(columns=columns, rows=rows, caption=caption)


def _row(name: str, mask: Mask, evidence: Evidence) -> tuple[Cell, ...]:
    labels, told = evidence.result.labels[mask], evidence.result.predicted[mask]
    if not len(labels):
        return (name, 0, None, None, None)
    table = confusion(labels, told)
    f1: Interval | None = interval(table, macro_f1) if table.sum(axis=1).min() >= FEWEST else None
    right = share(int((labels == told).sum()), len(labels))
    return (name, len(labels), float((labels == len(evidence.task.labels) - 1).mean()), right, f1)


def _generators(evidence: Evidence) -> Table:
    """Recall per generator, beside what others published of it."""
    task = evidence.task
    values = np.asarray(evidence.dataset[evidence.final][task.group_column])
    right = evidence.result.labels == evidence.result.predicted
    others = [] if evidence.provenance.synthetic else [p for p in task.published if p.per_group]
    rows: list[tuple[Cell, ...]] = []
    for value in sorted(set(values.tolist())):
        mine = right[values == value]
        theirs = (dict(p.per_group).get(value) for p in others)
        rows.append((value, len(mine), share(int(mine.sum()), len(mine)), *theirs))
    columns = (str(task.group_column), "tweets", "accuracy", *(p.system for p in others))
    return Table(columns=columns, rows=tuple(rows), caption="By generator; human is the recall of humans.")


def _dropped(evidence: Evidence) -> str:
    data = evidence.card.config.get("data", {}) if evidence.card else {}
    if data.get("drop_overlap"):
        return (
            "Training left out these training rows: the model has not seen the twins (`--data.drop-overlap`)."
        )
    if data:
        return "The model has seen the twins in training (`--data.no-drop-overlap`)."
    return "Without the model's card it is unknown whether training left the twins out."
