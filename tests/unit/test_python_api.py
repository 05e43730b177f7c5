"""What a notebook does with a model: one text, columns, tables, explanations; two and three labels."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from datasets import Dataset

from tests.support.checkpoints import TWEETS
from tests.support.labeled import LABELS, model
from tweetelm.openelm.flops import cost
from tweetelm.predictor import Predictor


@pytest.fixture(scope="module", params=[2, 3], ids=["two-labels", "three-labels"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return model(tmp_path_factory.mktemp("model"), request.param)


def frame() -> pd.DataFrame:
    index = pd.Index([7, 7, *range(20, 26)], name="id")
    return pd.DataFrame({"user": range(8), "tweet": TWEETS, "day": pd.Timestamp("2026-11-29")}, index=index)


def test_one_text_gives_one_prediction(predictor: Predictor) -> None:
    found = predictor.predict("the cat took the biscuit")
    assert found.label in predictor.labels
    assert sum(found.probabilities) == pytest.approx(1)


def test_progress_changes_no_prediction(predictor: Predictor, capfd: pytest.CaptureFixture[str]) -> None:
    plain = predictor.predict(TWEETS)
    assert predictor.predict(TWEETS, progress=True) == plain
    assert "8/8" in capfd.readouterr().err
    assert predictor.predict([], progress=True) == []


@pytest.mark.parametrize("wrap", [pa.array, lambda texts: Dataset.from_dict({"text": texts})["text"]])
def test_columns_of_pyarrow_and_datasets_are_read(predictor: Predictor, wrap: Any) -> None:
    assert predictor.predict(wrap(TWEETS)) == predictor.predict(TWEETS)


def test_a_frame_keeps_columns_order_and_index(predictor: Predictor) -> None:
    before = frame()
    found = predictor.predict_frame(before, text="tweet")
    pd.testing.assert_frame_equal(before, frame())
    pd.testing.assert_frame_equal(found[["user", "tweet", "day"]], before)
    probabilities = [f"prob_{label}" for label in predictor.labels]
    assert list(found.columns) == ["user", "tweet", "day", "label", *probabilities, "truncated"]
    expected = predictor.predict(TWEETS)
    assert list(found["label"]) == expected.labels
    assert list(found["truncated"]) == [each.truncated for each in expected]
    assert [tuple(row) for row in found[probabilities].to_numpy()] == [p.probabilities for p in expected]


def test_an_empty_frame_gets_the_columns_too(predictor: Predictor) -> None:
    found = predictor.predict_frame(frame().iloc[:0], text="tweet")
    assert len(found) == 0
    assert len(found.columns) == 3 + 2 + len(predictor.labels)
    assert found[f"prob_{predictor.labels[0]}"].dtype == "float64"


def test_tables_of_other_libraries_keep_their_type(predictor: Predictor) -> None:
    expected = predictor.predict_frame(frame().reset_index(drop=True), text="tweet")
    table = predictor.predict_frame(pa.Table.from_pandas(frame(), preserve_index=False), text="tweet")
    assert isinstance(table, pa.Table)
    pd.testing.assert_frame_equal(table.to_pandas(), expected, check_dtype=False)
    rows = Dataset.from_dict({"tweet": TWEETS}).select([3, 1])
    found = predictor.predict_frame(rows, text="tweet")
    assert isinstance(found, Dataset)
    assert found["label"] == list(expected["label"].iloc[[3, 1]])
    assert found["tweet"] == [TWEETS[3], TWEETS[1]]


def test_a_polars_frame_gets_the_same_columns(predictor: Predictor) -> None:
    polars = pytest.importorskip("polars")
    found = predictor.predict_frame(polars.DataFrame({"tweet": TWEETS}), text="tweet")
    expected = predictor.predict_frame(pd.DataFrame({"tweet": TWEETS}), text="tweet")
    assert found.columns == list(expected.columns)
    assert found["label"].to_list() == list(expected["label"])


def test_a_taken_column_is_refused_with_a_prefix(predictor: Predictor) -> None:
    once = predictor.predict_frame(frame(), text="tweet")
    with pytest.raises(ValueError, match=r"already has 'label', .*'truncated'; .* prefix='model_'"):
        predictor.predict_frame(once, text="tweet")
    twice = predictor.predict_frame(once, text="tweet", prefix="model_")
    assert list(twice["model_label"]) == list(twice["label"])


def test_a_missing_column_lists_the_columns(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match=r"no column 'tweets'; it has 'user', .*did you mean 'tweet'\?"):
        predictor.predict_frame(frame(), text="tweets")


def test_a_missing_value_in_a_frame_is_named(predictor: Predictor) -> None:
    broken = frame()
    broken.iloc[3, 1] = None
    with pytest.raises(ValueError, match=r"row 3 \(counted from 0, index 21\) .*subset=\['tweet'\]"):
        predictor.predict_frame(broken, text="tweet")


@pytest.mark.parametrize("given", [TWEETS, {"tweet": TWEETS}, None])
def test_what_is_no_table_is_refused(predictor: Predictor, given: Any) -> None:
    with pytest.raises(ValueError, match="expected a table of pandas, polars, pyarrow or datasets, not"):
        predictor.predict_frame(given, text="tweet")


def test_a_dataset_as_texts_points_to_predict_frame(predictor: Predictor) -> None:
    with pytest.raises(ValueError, match="predict_frame"):
        predictor.predict(Dataset.from_dict({"text": TWEETS}))


def test_contributions_are_changes_of_the_log_odds(predictor: Predictor) -> None:
    found = predictor.explain("the cat  took\nthe biscuit")
    assert [word.text for word in found.words] == ["the", "cat", "took", "the", "biscuit"]
    assert found.label == found.prediction.label
    whole = predictor.predict("the cat  took\nthe biscuit").probabilities
    without = predictor.predict("the took\nthe biscuit").probabilities
    for index, label in enumerate(predictor.labels):
        before, after = (math.log(p[index] / (1 - p[index])) for p in (without, whole))
        assert found.contributions(label)[1] == ("cat", pytest.approx(after - before, abs=1e-4))


def test_an_explanation_shows_the_label_asked_for(predictor: Predictor) -> None:
    label = predictor.labels[0]
    found = predictor.explain("the cat took the <b>biscuit</b>", label)
    assert repr(found).startswith(f"Explanation({label!r} ")
    assert "\n" not in repr(found)
    assert "&lt;b&gt;biscuit" in found._repr_html_()
    assert "<b>biscuit" not in found._repr_html_()
    with pytest.raises(ValueError, match=f"no label 'maybe'; expected one of {label}"):
        predictor.explain("the cat", "maybe")


def test_long_texts_are_explained_in_part(predictor: Predictor) -> None:
    found = predictor.explain("a b c d", words=2)
    assert (len(found.words), found.words_total) == (2, 4)
    assert found._repr_html_().count("title=") == 2
    assert predictor.explain("").words == ()


def test_reprs_are_one_line(predictor: Predictor) -> None:
    many = predictor.predict(TWEETS)
    for shown in (predictor, many, many[0], predictor.predict([]), predictor.explain("the cat")):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 160
    assert repr(many).startswith("Predictions(8 texts: ")
    assert f"{LABELS[len(predictor.labels)][0]}, " in repr(predictor)
    assert f"{cost(predictor.model.config).parameters:,} parameters" in repr(predictor)


def test_a_saved_model_is_loaded_by_its_folder(tmp_path: Path) -> None:
    model(tmp_path / "saved", 2)
    assert Predictor.load(tmp_path / "saved", device="cpu").labels == LABELS[2]
