"""How far validation and test are from train, and in which words."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

from tweetelm.evaluation.bootstrap import auroc, row_intervals, share
from tweetelm.evaluation.report.context import Evidence
from tweetelm.evaluation.report.document import Cell, Figure, Interval, Section, Table
from tweetelm.evaluation.report.interval_plots import Change, Row, change_figure, dot_figure

FEWEST = 20  # tweets that a word must stand in: rarer ones may be somebody's
SHOWN = 12
FOLDS = 5
WORD = re.compile(r"(?<![\w@#])#?[^\W\d_][\w']*[^\W_]")
_MASKS = {"http", "https", "user"}

Counts = npt.NDArray[np.int64]


def shift(evidence: Evidence) -> Section | None:
    """Domain classifiers, then the words whose frequency and whose meaning moved most."""
    names = [name for name in ("train", "validation", "test") if name in evidence.dataset]
    if "train" not in names or len(names) < 2:
        return None
    rows = [_domain(evidence, name) for name in names[1:]]
    columns = ("told apart", "AUROC")
    domains = Table(columns=columns, rows=tuple(rows), caption="0.5: the splits cannot be told apart.")
    words, present = word_counts([evidence.plain[name] for name in names])
    tables = [domains, *_word_tables(evidence, names, words, present)]
    text = (
        f"A logistic regression on TF-IDF words guesses which split a tweet is from, {FOLDS}-fold "
        "cross-validated.",
        f"Words and hashtags below stand in at least {FEWEST} tweets; mentions and links are left out. P is "
        f"the share of tweets with the word that are labeled {evidence.task.positive}.",
    )
    return Section(
        title="Shift between the splits",
        text=text,
        tables=tuple(tables),
        figures=(*_domain_figures(rows), *_word_figures(tables[1:], names, evidence.task.positive)),
    )


def _domain_figures(rows: Sequence[tuple[Cell, ...]]) -> list[Figure]:
    marks = [
        Row(label=str(name), value=found, strong=True) for name, found in rows if isinstance(found, Interval)
    ]
    caption = "How well words tell the splits apart, with 95 % intervals. Dotted: not at all."
    figure = dot_figure("shift", caption, marks, axis="AUROC", reference=0.5) if marks else None
    return [figure] if figure else []


def _word_figures(tables: Sequence[Table], names: list[str], positive: str) -> list[Figure]:
    """From the first split (open dot) to the last (full dot): share of tweets, then meaning."""
    kinds = (
        ("word-share", "share of tweets with the word"),
        ("word-meaning", f"P({positive}) with the word"),
    )
    figures = []
    for table, (name, axis), offset in zip(tables, kinds, (1, 2), strict=False):
        changes = [
            Change(label=str(row[0]), first=_plain(row[offset]), last=_plain(row[offset - 2]))
            for row in table.rows
        ]
        caption = f"{table.caption} ○ {names[0]}, ● {names[-1]}."
        figures.append(change_figure(name, caption, changes, axis=axis))
    return figures


def _plain(cell: Cell) -> float:
    return cell.value if isinstance(cell, Interval) else float(cell or 0)


def domain_auroc(first: Sequence[str], second: Sequence[str], folds: int = FOLDS) -> Interval:
    """How well TF-IDF words tell two sets of texts apart: AUROC of held-out guesses."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    origin = np.r_[np.zeros(len(first), dtype=int), np.ones(len(second), dtype=int)]
    vectors = TfidfVectorizer(min_df=2, sublinear_tf=True, token_pattern=r"(?u)#?\b\w+\b|[^\w\s]")
    matrix = vectors.fit_transform([*first, *second])
    model = LogisticRegression(C=4, solver="liblinear", class_weight="balanced")
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    guesses = cross_val_predict(model, matrix, origin, cv=split, method="decision_function")
    return row_intervals(len(origin), auroc(origin == 1, guesses), resamples=500)[0]


def word_counts(splits: Sequence[Sequence[str]]) -> tuple[list[str], list[csc_matrix]]:
    """Words that stand in enough tweets of all splits together, and per split which has which: (N, W)."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(analyzer=_words, min_df=FEWEST, binary=True)
    try:
        whole = counter.fit_transform([text for texts in splits for text in texts])
    except ValueError:  # no word stands in enough tweets
        return [], [csc_matrix((len(texts), 0)) for texts in splits]
    ends = np.cumsum([0, *map(len, splits)])
    parts = [csc_matrix(whole[low:high]) for low, high in pairwise(ends)]
    return [str(word) for word in counter.get_feature_names_out()], parts


def _words(text: str) -> set[str]:
    return {word for word in WORD.findall(text.casefold()) if word not in _MASKS}


def _domain(evidence: Evidence, name: str) -> tuple[Cell, ...]:
    texts, train = evidence.plain[name], evidence.plain["train"]
    enough = min(len(texts), len(train)) >= 5 * FOLDS
    return (f"train and {name}", domain_auroc(train, texts) if enough else None)


def _word_tables(
    evidence: Evidence, names: list[str], words: list[str], present: list[csc_matrix]
) -> list[Table]:
    """By change of frequency, and by change of label weighted by it, between the first and last split."""
    if not words:
        return []
    positive = [evidence.labels(name) == len(evidence.task.labels) - 1 for name in names]
    counts = [np.asarray(part.sum(axis=0)).ravel().astype(np.int64) for part in present]
    hits = [
        np.asarray(part.T @ truth).ravel().astype(np.int64)
        for part, truth in zip(present, positive, strict=True)
    ]
    sizes = [part.shape[0] for part in present]
    frequency = np.abs(counts[-1] / sizes[-1] - counts[0] / sizes[0])
    common = (counts[0] >= FEWEST) & (counts[-1] >= FEWEST)
    turn = np.abs(hits[-1] / np.maximum(counts[-1], 1) - hits[0] / np.maximum(counts[0], 1))
    turn = turn * common * counts[-1] / sizes[-1]
    captions = (
        f"Words whose share of tweets differs most between {names[0]} and {names[-1]}.",
        f"Words whose meaning differs most: the change of P, times their share of {names[-1]}.",
    )
    columns = ("word", *(column for name in names for column in (f"{name}: share", f"{name}: P")))
    tables = []
    for caption, score in zip(captions, (frequency, turn), strict=True):
        best = [i for i in np.argsort(-score, kind="stable")[:SHOWN] if score[i] > 0]
        rows = tuple((words[i], *_cells(i, counts, hits, sizes)) for i in best)
        tables.append(Table(columns=columns, rows=rows, caption=caption))
    return [table for table in tables if table.rows]


def _cells(word: int, counts: list[Counts], hits: list[Counts], sizes: list[int]) -> list[Cell]:
    cells: list[Cell] = []
    for count, hit, size in zip(counts, hits, sizes, strict=True):
        cells += [float(count[word] / size), share(int(hit[word]), int(count[word]))]
    return cells
