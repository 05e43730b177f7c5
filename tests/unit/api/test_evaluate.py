"""`tweetelm.evaluate` and `tweetelm.compare`, with two and with three labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict

import tweetelm
from tests.support.checkpoints import TWEETS
from tests.support.labeled import STANCE, TASK, model
from tweetelm.predictor import Predictor
from tweetelm.tasks import DEEPFAKE


@pytest.fixture(scope="module", params=[2, 3], ids=["two-labels", "three-labels"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, ...]:
    folder = tmp_path_factory.mktemp("models")
    return tuple(model(folder / str(seed), request.param, seed=seed) for seed in (0, 1))


def frame(predictor: Predictor, right: int = 6) -> pd.DataFrame:
    """Labels that agree with the model's predictions in the first `right` of 8 rows."""
    labels = predictor.predict(TWEETS).labels
    for row in range(right, 8):
        labels[row] = next(label for label in predictor.labels if label != labels[row])
    return pd.DataFrame({"tweet": TWEETS, "side": labels})


def test_a_frame_is_scored_with_intervals(pair: tuple[Predictor, ...]) -> None:
    found = tweetelm.evaluate(pair[0], frame(pair[0]), text="tweet", label="side")
    metrics = found.metrics["data"]
    assert metrics["accuracy"] == 0.75
    low, high = metrics["intervals"]["accuracy"]
    assert low < 0.75 < high
    assert pair[0].task.metric in metrics["intervals"]
    assert repr(found).startswith(f"Evaluation({pair[0].task.name}: data {pair[0].task.metric} 0.")
    assert "\n" not in repr(found)


def test_all_kinds_of_tables_score_the_same(pair: tuple[Predictor, ...]) -> None:
    table = frame(pair[0])
    ids = table.assign(side=[pair[0].labels.index(label) for label in table["side"]])
    expected = tweetelm.evaluate(pair[0], table, text="tweet", label="side").metrics["data"]
    dataset = Dataset.from_pandas(table)
    encoded = dataset.class_encode_column("side")  # sorts the names: other ids than the task's
    for each in (ids, pa.Table.from_pandas(table), dataset, encoded):
        assert tweetelm.evaluate(pair[0], each, text="tweet", label="side").metrics["data"] == expected


def test_training_rows_are_not_scored(pair: tuple[Predictor, ...]) -> None:
    rows = Dataset.from_pandas(frame(pair[0]).rename(columns={"tweet": "text", "side": "label"}))
    both = DatasetDict({"train": rows, "test": rows.select(range(6))})
    found = tweetelm.evaluate(pair[0], both)
    assert list(found.splits) == ["test"]
    assert found.metrics["test"]["accuracy"] == 1.0
    assert list(tweetelm.evaluate(pair[0], DatasetDict({"train": rows})).splits) == ["train"]


@pytest.mark.parametrize("wrong", ["maybe", None, 7, -1, float("nan")])
def test_an_unknown_label_is_named(pair: tuple[Predictor, ...], wrong: Any) -> None:
    table = frame(pair[0]).astype({"side": object})
    table.iloc[2, 1] = wrong
    with pytest.raises(
        ValueError, match=rf"row 2 .* has the label .*; expected one of {pair[0].labels[0]}, "
    ):
        tweetelm.evaluate(pair[0], table, text="tweet", label="side")


def test_missing_columns_and_rows_are_named(pair: tuple[Predictor, ...]) -> None:
    with pytest.raises(ValueError, match="no column 'text'; it has 'tweet', 'side'"):
        tweetelm.evaluate(pair[0], frame(pair[0]))
    with pytest.raises(ValueError, match="the table has no rows"):
        tweetelm.evaluate(pair[0], frame(pair[0]).iloc[:0], text="tweet", label="side")


def test_the_sample_of_a_task_is_scored_by_name(tmp_path: Path) -> None:
    hate = model(tmp_path / "hate", 2)
    found = tweetelm.evaluate(hate, "hate", root="sample")
    assert list(found.splits) == ["validation", "test"]
    with pytest.raises(
        ValueError, match="task deepfake has the labels human, bot, but the model has not-hate"
    ):
        tweetelm.evaluate(hate, "deepfake", root="sample")
    with pytest.raises(ValueError, match="no task or file 'hat'"):
        tweetelm.evaluate(hate, "hat")


def test_a_group_column_is_optional(tmp_path: Path) -> None:
    deepfake = model(tmp_path / "deepfake", 2, task=DEEPFAKE)
    plain = frame(deepfake).rename(columns={"tweet": "text", "side": "label"})
    assert tweetelm.evaluate(deepfake, plain).metrics["data"]["per_group"] == {}
    grouped = tweetelm.evaluate(deepfake, plain.assign(class_type=["human", "rnn"] * 4))
    assert set(grouped.metrics["data"]["per_group"]) == {"human", "rnn"}


def test_a_comparison_has_a_paired_interval(pair: tuple[Predictor, ...]) -> None:
    table = frame(pair[0], right=8)
    found = tweetelm.compare(*pair, table, text="tweet", label="side")
    back = tweetelm.compare(*reversed(pair), table, text="tweet", label="side")
    assert found.tweets == 8
    assert found.difference.value == pytest.approx(found.first - found.second)
    assert found.difference.low <= found.difference.value <= found.difference.high
    assert (back.difference.low, back.difference.high) == pytest.approx(
        (-found.difference.high, -found.difference.low)
    )
    assert "\n" not in repr(found)


def test_equal_models_do_not_differ(pair: tuple[Predictor, ...]) -> None:
    found = tweetelm.compare(pair[0], pair[0], frame(pair[0]), text="tweet", label="side")
    assert (found.difference.low, found.difference.value, found.difference.high, found.p) == (0, 0, 0, 1)


def test_models_of_other_labels_are_refused(tmp_path: Path) -> None:
    two, three = model(tmp_path / "2", 2), model(tmp_path / "3", 3)
    with pytest.raises(ValueError, match="different labels: not-hate, hate and none, against, favor"):
        tweetelm.compare(two, three, frame(two))


def test_a_label_that_no_row_has_counts(tmp_path: Path) -> None:
    stance = model(tmp_path / "stance", 3)
    table = pd.DataFrame({"text": TWEETS, "label": np.zeros(8, dtype=int)})
    found = tweetelm.compare(stance, stance, table)
    assert found.metric == STANCE.metric == TASK[3].metric
    assert found.first == found.second
