"""Checks a dataset: counts, lengths, duplicates, leakage between splits, contradictory labels, damaged text.

The check changes nothing. Known properties of the published data are marked as documented, so that new
findings are visible.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict

from tweetelm.config.text_config import TextConfig
from tweetelm.data.audit.known_issues import DOCUMENTED
from tweetelm.data.audit.text_damage import DAMAGE
from tweetelm.data.dedup import training_rows
from tweetelm.data.duplicates import SAMENESS
from tweetelm.data.load import SAMPLE, folder, load
from tweetelm.data.provenance import Provenance, folder_md5, provenance
from tweetelm.data.published_files import FILES, foreign, listed, unpublished
from tweetelm.tasks import SYNTHETIC_NOTICE, Task

PERCENTILES = (50, 95, 99, 100)
LONG = 1000  # characters; a tweet has at most 280, counted before links and mentions are expanded
FEW = 20  # rows of a label
Rows = list[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Counts of one split.

    `characters` and `words` are the percentiles 50, 95, 99 and 100 of text lengths before normalization.
    """

    rows: int
    labels: dict[str, int]
    groups: dict[str, int]
    characters: tuple[int, ...]
    words: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The number of `rows` of split `where` that have the property `what`, and the `documented` number."""

    what: str
    where: str
    rows: int
    documented: int | None

    @property
    def status(self) -> str:
        """`documented`, or the difference from it; empty if there are neither rows nor documented rows."""
        if self.documented is None:
            return "not documented" if self.rows else ""
        if self.rows == self.documented:
            return "documented" if self.rows else ""
        return f"DIFFERS: {self.documented} documented"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of `check`.

    Attributes:
        task: the task's name.
        provenance: origin and hash of the data.
        splits: counts by split.
        findings: all findings, including those without rows.
        left_out: number of training rows that training drops by default, by reason.
        remarks: the lines of `remarks`.
    """

    task: str
    provenance: Provenance
    splits: dict[str, SplitCounts]
    findings: tuple[Finding, ...]
    left_out: dict[str, int]
    remarks: tuple[str, ...] = ()

    @property
    def rare(self) -> list[str]:
        """Lines about labels that have few rows in a split."""
        return [
            f"! {label}: {rows} rows in {name}; scores of fewer than {FEW} are mostly noise"
            for name, split in self.splits.items()
            for label, rows in split.labels.items()
            if rows < FEW
        ]


def check(task: Task, root: str | Path) -> Report:
    """Check the dataset of a task. Raises the errors of `load`. Findings without rows are included."""
    dataset = load(task, root)
    source = provenance(task, root)
    known = {} if source.synthetic else DOCUMENTED.get(task.name, {})
    findings = tuple(
        Finding(what=what, where=where, rows=rows, documented=known.get((what, where)))
        for what, where, rows in _findings(dataset)
    )
    splits = {name: _counts(split, task) for name, split in dataset.items()}
    left_out = training_rows(dataset, drop_overlap=True, text=TextConfig())[1]
    return Report(
        task=task.name,
        provenance=source,
        splits=splits,
        findings=findings,
        left_out=left_out,
        remarks=tuple(remarks(task, root)),
    )


def remarks(task: Task, root: str | Path) -> list[str]:
    """Lines about missing, changed and additional files; also available if the data cannot be read.

    The embedded sample is not compared with the published files.
    """
    if task.data is not None:
        return []
    where, files = folder(task, root), FILES[task.name]
    if not where.is_dir():
        return []
    found = []
    if folder_md5(where, files) != folder_md5(folder(task, SAMPLE), files):
        found = [f"! {line}" for line in unpublished(task.name, where)]
    if others := foreign(where, files):
        found.append(f"! {where}: ignored files that are not part of the data: {listed(others)}")
    return found


def _counts(split: Dataset, task: Task) -> SplitCounts:
    texts = split["text"]
    groups = split[task.group_column] if task.group_column else ()
    by_label = Counter(split["label"])
    return SplitCounts(
        rows=split.num_rows,
        labels={label: by_label[i] for i, label in enumerate(task.labels)},
        groups=dict(sorted(Counter(groups).items())),
        characters=_percentiles(map(len, texts)),
        words=_percentiles(len(text.split()) for text in texts),
    )


def _percentiles(lengths: Iterable[int]) -> tuple[int, ...]:
    return tuple(round(value) for value in np.percentile(list(lengths), PERCENTILES))


def _findings(dataset: DatasetDict) -> Iterator[tuple[str, str, int]]:
    splits = {name: list(zip(split["text"], split["label"], strict=True)) for name, split in dataset.items()}
    for name, rows in splits.items():
        yield "empty", name, sum(not text.strip() for text, _ in rows)
    for kind, key in SAMENESS.items():
        yield from _duplicates(kind, {name: [(key(t), y) for t, y in rows] for name, rows in splits.items()})
    for name, rows in splits.items():
        yield f"over {LONG:,} characters", name, sum(len(text) > LONG for text, _ in rows)
    for what, is_damaged in DAMAGE.items():
        for name, rows in splits.items():
            yield what, name, sum(is_damaged(text) for text, _ in rows)


def _duplicates(kind: str, splits: dict[str, Rows]) -> Iterator[tuple[str, str, int]]:
    labels = {name: _labels_by_text(rows) for name, rows in splits.items()}
    for name, rows in splits.items():
        yield f"{kind}: extra copies", name, len(rows) - len(labels[name])
        yield (
            f"{kind}: texts under several labels",
            name,
            sum(len(found) > 1 for found in labels[name].values()),
        )
    for earlier, later in combinations(splits, 2):
        shared = [(labels[earlier][text], label) for text, label in splits[later] if text in labels[earlier]]
        opposite = sum(bool(found - {label}) for found, label in shared)
        yield f"{kind}: also in {earlier}", later, len(shared)
        yield f"{kind}: also in {earlier}, with another label", later, opposite


def _labels_by_text(rows: Rows) -> dict[str, set[int]]:
    labels: dict[str, set[int]] = defaultdict(set)
    for text, label in rows:
        labels[text].add(label)
    return dict(labels)


def lines(report: Report) -> Iterator[str]:
    """The report as text lines; findings without rows are omitted unless rows are documented."""
    source = report.provenance
    yield f"{report.task} from {source.root} (md5 {source.md5})"
    if source.synthetic:
        yield f"  {SYNTHETIC_NOTICE}"
    for name, split in report.splits.items():
        yield f"{name:<11} {split.rows:>6} rows: {_shares(split.labels, split.rows)}"
        if split.groups:
            yield f"{'':<19}{_shares(split.groups, split.rows)}"
        sizes = (f"{what} {'/'.join(map(str, getattr(split, what)))}" for what in ("characters", "words"))
        yield f"{'':<19}{', '.join(sizes)} (median/95 %/99 %/longest)"
    reasons = ", ".join(f"{count} {reason}" for reason, count in report.left_out.items())
    yield f"training drops {reasons} rows (never validation or test rows)"
    yield from report.rare if report.task not in DOCUMENTED else []
    yield "findings:"
    for finding in report.findings:
        status = finding.status if report.task in DOCUMENTED else ""
        if finding.rows or status:
            yield f"  {finding.where:<11}{finding.rows:>6}  {finding.what:<62}{status}".rstrip()


def _shares(counts: dict[str, int], rows: int) -> str:
    return ", ".join(f"{name} {count} ({count / rows:.1%})" for name, count in counts.items())
