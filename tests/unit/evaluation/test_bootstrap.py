import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from tweetelm.evaluation import bootstrap
from tweetelm.evaluation.bootstrap import auroc, confusion, interval, paired_difference, row_intervals

GENERATOR = np.random.default_rng(7)
LABELS = GENERATOR.integers(0, 2, 400)
SCORES = np.round(np.clip(LABELS * 0.25 + GENERATOR.random(400) * 0.75, 0, 1), 2)  # rounded: with ties
TOLD = (SCORES > 0.5).astype(np.int64)
OTHER = np.where(GENERATOR.random(400) < 0.1, 1 - LABELS, TOLD)


def macro(labels: np.ndarray, told: np.ndarray) -> float:
    """Macro-F1; faster than scikit-learn's, to which a test below compares it."""
    hits = [((labels == i) & (told == i)).sum() for i in (0, 1)]
    return float(np.mean([2 * hits[i] / ((labels == i).sum() + (told == i).sum()) for i in (0, 1)]))


def area(labels: np.ndarray, scores: np.ndarray) -> float:
    """AUROC by ranks; faster than scikit-learn's, to which a test below compares it."""
    ranks, up = stats.rankdata(scores), labels == 1
    pairs = up.sum() * (~up).sum()
    return float((ranks[up].sum() - up.sum() * (up.sum() + 1) / 2) / pairs)


def positive_precision(labels: np.ndarray, told: np.ndarray) -> float:
    return float(labels[told == 1].mean())


def positive_recall(labels: np.ndarray, told: np.ndarray) -> float:
    return float(told[labels == 1].mean())


@pytest.mark.parametrize(
    ("statistic", "theirs"),
    [
        (bootstrap.accuracy, lambda labels, told: (labels == told).mean()),
        (bootstrap.macro_f1, macro),
        (bootstrap.precision(1), positive_precision),
        (bootstrap.recall(1), positive_recall),
    ],
)
def test_confusion_interval_equals_scipy_bootstrap(statistic, theirs) -> None:  # type: ignore[no-untyped-def]
    ours = interval(confusion(LABELS, TOLD), statistic, resamples=20_000)
    found = stats.bootstrap(
        (LABELS, TOLD), theirs, paired=True, vectorized=False, method="percentile", n_resamples=2000, rng=1
    )
    assert ours is not None
    assert ours.value == pytest.approx(theirs(LABELS, TOLD))
    assert (ours.low, ours.high) == pytest.approx(tuple(found.confidence_interval), abs=0.012)


def test_statistics_of_confusion_counts_are_sklearns() -> None:
    table = confusion(LABELS, TOLD)
    assert bootstrap.macro_f1(table) == pytest.approx(f1_score(LABELS, TOLD, average="macro"))
    assert bootstrap.f1(0)(table) == pytest.approx(f1_score(LABELS, TOLD, pos_label=0))
    assert bootstrap.precision(0)(table) == pytest.approx(precision_score(LABELS, TOLD, pos_label=0))
    assert bootstrap.recall(0)(table) == pytest.approx(recall_score(LABELS, TOLD, pos_label=0))
    assert bootstrap.predicted_share(1)(table) == pytest.approx(TOLD.mean())


def test_an_interval_of_rows_is_scipys_percentile_bootstrap() -> None:
    ours = row_intervals(400, auroc(LABELS == 1, SCORES), resamples=4000)[0]
    found = stats.bootstrap(
        (LABELS, SCORES), area, paired=True, vectorized=False, method="percentile", n_resamples=300,
        rng=1,
    )  # fmt: skip
    assert ours.value == pytest.approx(roc_auc_score(LABELS, SCORES))
    assert (ours.low, ours.high) == pytest.approx(tuple(found.confidence_interval), abs=0.02)


def test_weighted_auroc_equals_repeated_rows() -> None:
    weights = np.random.default_rng(3).integers(0, 4, (2, 400)).astype(np.float32)
    ours = auroc(LABELS == 1, SCORES)(weights)[:, 0]
    repeated = [roc_auc_score(LABELS.repeat(w.astype(int)), SCORES.repeat(w.astype(int))) for w in weights]
    assert ours == pytest.approx(repeated)


def test_what_is_undefined_has_no_interval() -> None:
    never_predicted = confusion(LABELS, np.zeros(400, dtype=np.int64))
    assert interval(never_predicted, bootstrap.precision(1)) is None


def test_absent_label_is_excluded_from_macro_f1() -> None:
    labels, told = np.array([0, 0, 0]), np.array([0, 0, 0])
    assert bootstrap.macro_f1(confusion(labels, told)) == 1


def test_a_paired_difference_is_scipys_percentile_bootstrap() -> None:
    def difference(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
        return macro(labels, first) - macro(labels, second)

    ours = paired_difference(LABELS, TOLD, OTHER, bootstrap.macro_f1)
    found = stats.bootstrap(
        (LABELS, TOLD, OTHER), difference, paired=True, vectorized=False, method="percentile",
        n_resamples=2000, rng=1,
    )  # fmt: skip
    assert ours.interval.value == pytest.approx(difference(LABELS, TOLD, OTHER))
    ends = (ours.interval.low, ours.interval.high)
    assert ends == pytest.approx(tuple(found.confidence_interval), abs=0.012)


def test_pairing_tells_apart_what_two_intervals_cannot() -> None:
    better = TOLD.copy()
    better[np.flatnonzero(TOLD != LABELS)[:8]] ^= 1  # eight more correct predictions, none lost
    alone = [interval(confusion(LABELS, told), bootstrap.accuracy) for told in (TOLD, better)]
    assert alone[0] is not None
    assert alone[1] is not None
    assert alone[0].high > alone[1].low
    found = paired_difference(LABELS, better, TOLD, bootstrap.accuracy)
    assert found.interval.value == pytest.approx(8 / 400)
    assert found.interval.low > 0
    assert found.p < 0.01


def test_a_model_does_not_differ_from_itself() -> None:
    found = paired_difference(LABELS, TOLD, TOLD, bootstrap.accuracy)
    assert (found.interval.value, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


def test_intervals_have_95_percent_coverage() -> None:
    generator, hit = np.random.default_rng(0), 0
    for _ in range(300):
        labels = generator.integers(0, 2, 300)
        told = np.where(generator.random(300) < 0.7, labels, 1 - labels)
        found = interval(confusion(labels, told), bootstrap.accuracy, resamples=400)
        assert found is not None
        hit += found.low <= 0.7 <= found.high
    assert 0.90 <= hit / 300 <= 0.985
