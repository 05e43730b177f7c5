"""Distribution shift between train, validation and test, and the words behind it."""

import re
from collections.abc import Sequence
from itertools import pairwise, zip_longest

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

from tweetelm.evaluation.bootstrap import auroc, row_intervals
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Cell, Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import Change, Row, change_figure, dot_figure
from tweetelm.tasks import Task

FEWEST = 20  # tweets that must contain a word: rarer words may identify a person
SHOWN = 12
FOLDS = 5
WORD = re.compile(r"(?<![\w@#])#?[^\W\d_][\w']*[^\W_]")
_MASKS = {"http", "https", "user"}

Counts = npt.NDArray[np.int64]


def shift(context: ReportContext) -> Section | None:
    """Domain classifiers, then the words whose frequency and label share changed most."""
    names = [name for name in ("train", "validation", "test") if name in context.dataset]
    if "train" not in names or len(names) < 2:
        return None
    rows = [_domain(context, name) for name in names[1:]]
    columns = ("splits", "AUROC")
    domains = Table(
        columns=columns,
        rows=tuple(rows),
        caption="AUROC of the domain classifier; 0.5: the splits cannot be distinguished.",
    )
    words, present = word_counts([context.plain[name] for name in names])
    tables = [domains, *_word_tables(context, names, words, present)]
    text = (
        "A domain classifier (logistic regression on TF-IDF words) predicts which split a tweet is from, "
        f"{FOLDS}-fold cross-validated. AUROC 0.5: no shift in words.",
        f"Words and hashtags occur in at least {FEWEST} tweets; mentions and links are excluded."
        + context.task.binary
        * f" P is the share of tweets with the word that are labeled {context.task.positive}.",
    )
    return Section(
        title="Shift between the splits",
        text=text,
        tables=tuple(tables),
        figures=(*_domain_figures(rows), *_word_figures(tables[1:], names, context.task)),
    )


def _domain_figures(rows: Sequence[tuple[Cell, ...]]) -> list[Figure]:
    marks = [Row(label=str(name), value=auc, strong=True) for name, auc in rows if isinstance(auc, Interval)]
    caption = "Domain classifier, with 95 % intervals. Dotted: no shift."
    figure = dot_figure("shift", caption, marks, axis="AUROC", reference=0.5) if marks else None
    return [figure] if figure else []


def _word_figures(tables: Sequence[Table], names: list[str], task: Task) -> list[Figure]:
    """From the first split (open dot) to the last (filled dot): share of tweets, then label share."""
    kinds = (
        ("word-share", "share of tweets with the word"),
        ("word-meaning", f"P({task.positive}) with the word"),
    )
    cells, figures = 1 + task.binary, []  # cells per split
    for table, (name, axis), offset in zip(tables, kinds, (1, 2), strict=False):
        changes = [
            Change(label=str(row[0]), first=_plain(row[offset]), last=_plain(row[offset - 1 - cells]))
            for row in table.rows
        ]
        caption = f"{table.caption} ○ {names[0]}, ● {names[-1]}."
        figures.append(change_figure(name, caption, changes, axis=axis))
    return figures


def _plain(cell: Cell) -> float:
    return cell.value if isinstance(cell, Interval) else float(cell or 0)


def domain_auroc(first: Sequence[str], second: Sequence[str], folds: int = FOLDS) -> Interval:
    """AUROC of a cross-validated classifier that separates two sets of texts by TF-IDF words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    origin = np.r_[np.zeros(len(first), dtype=int), np.ones(len(second), dtype=int)]
    vectors = TfidfVectorizer(min_df=2, sublinear_tf=True, token_pattern=r"(?u)#?\b\w+\b|[^\w\s]")
    matrix = vectors.fit_transform([*first, *second])
    model = LogisticRegression(C=4, solver="liblinear", class_weight="balanced")
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    scores = cross_val_predict(model, matrix, origin, cv=split, method="decision_function")
    return row_intervals(len(origin), auroc(origin == 1, scores), resamples=500)[0]


def word_counts(splits: Sequence[Sequence[str]]) -> tuple[list[str], list[csc_matrix]]:
    """Words in at least FEWEST tweets of all splits together, and an indicator matrix (N, W) per split."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=_words, min_df=FEWEST, binary=True)
    try:
        whole = counter.fit_transform([text for texts in splits for text in texts])
    except ValueError:  # no word is in enough tweets
        return [], [csc_matrix((len(texts), 0)) for texts in splits]
    ends = np.cumsum([0, *map(len, splits)])
    parts = [csc_matrix(whole[low:high]) for low, high in pairwise(ends)]
    return [str(word) for word in counter.get_feature_names_out()], parts


def _words(text: str) -> set[str]:
    return {word for word in WORD.findall(text.casefold()) if word not in _MASKS}


def _domain(context: ReportContext, name: str) -> tuple[Cell, ...]:
    texts, train = context.plain[name], context.plain["train"]
    enough = min(len(texts), len(train)) >= 5 * FOLDS
    return (f"train and {name}", domain_auroc(train, texts) if enough else None)


def _word_tables(
    context: ReportContext, names: list[str], words: list[str], present: list[csc_matrix]
) -> list[Table]:
    """Words by change of frequency, and by change of label share times frequency, first to last split.

    With more than two labels there is no label share P.
    """
    if not words:
        return []
    binary = context.task.binary
    positive = [context.labels(name) == len(context.task.labels) - 1 for name in names]
    counts = [np.asarray(part.sum(axis=0)).ravel().astype(np.int64) for part in present]
    hits = [
        np.asarray(part.T @ truth).ravel().astype(np.int64)
        for part, truth in zip(present, positive, strict=True)
    ]
    sizes = [part.shape[0] for part in present]
    frequency = np.abs(counts[-1] / sizes[-1] - counts[0] / sizes[0])
    common = (counts[0] >= FEWEST) & (counts[-1] >= FEWEST)
    change = np.abs(hits[-1] / np.maximum(counts[-1], 1) - hits[0] / np.maximum(counts[0], 1))
    change = change * common * counts[-1] / sizes[-1]
    captions = (
        f"Words whose share of tweets differs most between {names[0]} and {names[-1]}.",
        f"Words whose label share P differs most (change of P times share of {names[-1]}).",
    )
    kinds = ("share", "P") if binary else ("share",)
    columns = ("word", *(f"{name}: {kind}" for name in names for kind in kinds))
    tables = []
    for caption, score in zip(captions[: len(kinds)], (frequency, change), strict=False):
        best = [i for i in np.argsort(-score, kind="stable")[:SHOWN] if score[i] > 0]
        rows = tuple((words[i], *_cells(i, counts, hits if binary else [], sizes)) for i in best)
        tables.append(Table(columns=columns, rows=rows, caption=caption))
    return [table for table in tables if table.rows]


def _cells(word: int, counts: list[Counts], hits: list[Counts], sizes: list[int]) -> list[Cell]:
    cells: list[Cell] = []
    for count, hit, size in zip_longest(counts, hits, sizes):
        cells.append(float(count[word] / size))
        if hit is not None:
            cells.append(wilson(int(hit[word]), int(count[word])))
    return cells
