import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from tweetelm.evaluation.metrics import quick_score, score, tweeteval_macro_f1
from tweetelm.tasks import DEEPFAKE, HATE

# Six tweets: not-hate 2 correct, 1 wrong; hate 1 correct, 2 wrong.
LABELS = np.array([0, 0, 0, 1, 1, 1])
P_HATE = np.array([0.1, 0.2, 0.9, 0.8, 0.3, 0.4])
PROBABILITIES = np.stack([1 - P_HATE, P_HATE], axis=1)

pairs = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60)


def test_a_split_scores_as_computed_by_hand() -> None:
    result = score(LABELS, PROBABILITIES, HATE)
    assert result["n"] == 6
    assert result["accuracy"] == 3 / 6
    assert result["confusion"] == [[2, 1], [2, 1]]
    not_hate, hate = result["per_class"]["not-hate"], result["per_class"]["hate"]
    assert not_hate == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "support": 3})
    assert hate == pytest.approx({"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5, "support": 3})
    assert result["macro_f1"] == pytest.approx((4 / 7 + 2 / 5) / 2)
    # 6 of 9 pairs (hate, not-hate) are ordered correctly: .8, .3 and .4 are each above .1 and .2.
    assert result["auroc"] == pytest.approx(6 / 9)
    assert result["predicted_share"] == pytest.approx({"not-hate": 4 / 6, "hate": 2 / 6})
    assert result["per_group"] == {}


def test_accuracy_per_group_is_the_recall_on_each_generator() -> None:
    groups = ["human", "human", "human", "gpt2", "gpt2", "rnn"]
    result = score(LABELS, PROBABILITIES, DEEPFAKE, groups)
    assert result["per_group"] == {
        "gpt2": {"n": 2, "accuracy": 1 / 2},
        "human": {"n": 3, "accuracy": pytest.approx(2 / 3)},
        "rnn": {"n": 1, "accuracy": 0.0},
    }


def test_labels_told_under_a_threshold_are_what_is_scored() -> None:
    predicted = np.array([0, 0, 1, 1, 1, 1])  # P(hate) >= 0.3
    result = score(LABELS, PROBABILITIES, HATE, predicted=predicted)
    assert result["accuracy"] == 5 / 6
    assert result["auroc"] == score(LABELS, PROBABILITIES, HATE)["auroc"]


@pytest.mark.slow
@given(pairs)
def test_every_number_equals_sklearns(rows: list[tuple[int, float]]) -> None:
    labels, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    probabilities = np.stack([1 - p, p], axis=1)
    predicted = probabilities.argmax(axis=1)
    result = score(labels, probabilities, HATE)
    assert result["accuracy"] == sklearn_metrics.accuracy_score(labels, predicted)
    assert result["macro_f1"] == sklearn_metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    if len(set(labels)) == 2:
        assert result["auroc"] == sklearn_metrics.roc_auc_score(labels, p)
    recall = sklearn_metrics.recall_score(labels, predicted, pos_label=1, zero_division=0)
    assert result["per_class"]["hate"]["recall"] == pytest.approx(recall)


@pytest.mark.slow
@given(pairs)
def test_macro_f1_equals_tweeteval_script(rows: list[tuple[int, float]]) -> None:
    labels, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    probabilities = np.stack([1 - p, p], axis=1)
    gold = "".join(f"{label}\n" for label in labels)
    predictions = "".join(f"{label}\n" for label in probabilities.argmax(axis=1))
    assert score(labels, probabilities, HATE)["macro_f1"] == tweeteval_macro_f1(gold, predictions)


def test_always_not_hate_gets_half_of_one_f1() -> None:
    gold = "0\n" * 1718 + "1\n" * 1252
    assert tweeteval_macro_f1(gold, "0\n" * 2970) == pytest.approx(1718 / (1718 + 2970))


@pytest.mark.parametrize(("gold", "predictions"), [("0\n1\n", "0\n"), ("0\n1\n", "0\n1"), ("", "")])
def test_tweeteval_files_that_do_not_match_are_refused(gold: str, predictions: str) -> None:
    with pytest.raises(ValueError, match="one integer per line"):
        tweeteval_macro_f1(gold, predictions)


@given(pairs)
def test_the_quick_score_agrees_with_the_full_one(rows: list[tuple[int, float]]) -> None:
    labels, p = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    probabilities = np.stack([1 - p, p], axis=1)
    full = score(labels, probabilities, HATE)
    quick = quick_score(labels, probabilities, HATE)
    assert quick == pytest.approx({"accuracy": full["accuracy"], "macro_f1": full["macro_f1"]}, abs=1e-12)


def test_quick_score_takes_milliseconds() -> None:
    generator = np.random.default_rng(0)
    labels, p = generator.integers(0, 2, 10_000), generator.random(10_000)
    begin = time.process_time()
    for _ in range(10):
        quick_score(labels, np.stack([1 - p, p], axis=1), HATE)
    assert (time.process_time() - begin) / 10 < 0.02


@pytest.mark.parametrize(("label", "name"), [(0, "not-hate"), (1, "hate")])
def test_auroc_of_a_single_label_is_absent_with_the_reason(label: int, name: str) -> None:
    result = score(np.full(6, label), PROBABILITIES, HATE)
    assert result["auroc"] is None
    assert result["auroc_missing"] == f"every tweet is labeled {name}; AUROC needs both labels"


@pytest.mark.parametrize(
    ("labels", "probabilities", "groups", "message"),
    [
        (LABELS[:0], PROBABILITIES[:0], None, "at least one tweet"),
        (LABELS, PROBABILITIES[:5], None, r"\(5, 2\); expected \(6, 2\)"),
        (LABELS, PROBABILITIES, ["a"], "1 groups for 6 tweets"),
        (LABELS - 1, PROBABILITIES, None, r"task hate has no label ids \[-1\]"),
        (LABELS, np.where(PROBABILITIES > 0.85, np.nan, PROBABILITIES), None, "2 of 6 tweets"),
    ],
)
def test_input_that_cannot_be_scored_is_refused(
    labels: np.ndarray, probabilities: np.ndarray, groups: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score(labels, probabilities, HATE, groups)
