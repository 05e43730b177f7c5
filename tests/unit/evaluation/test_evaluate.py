import dataclasses
import functools
import json
from pathlib import Path

import pytest
from datasets import ClassLabel

from tests.support.fakes import FakeProvenance, ShoutPredictor, dataset
from tweetelm.config.train_config import ModelConfig, TrainConfig
from tweetelm.evaluation.evaluate import Evaluation, evaluate
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.prediction_files import recompute, write_records
from tweetelm.evaluation.report.write import write as write_report
from tweetelm.registry import Base, Card, make_card
from tweetelm.tasks import DEEPFAKE, HATE, SYNTHETIC_NOTICE

# P(hate) is the share of words in capitals: 0, 1, 1/2, 2/3 on validation and 1/4, 3/4, 0, 1 on test.
HATE_ROWS = dataset(
    HATE,
    validation=[("peace", 0), ("WAR", 1), ("so SO", 1), ("GO AWAY now", 1)],
    test=[("NO i do not", 0), ("GET OUT of HERE", 1), ("a secret phrase", 1), ("HELLO", 0)],
)
DEEPFAKE_ROWS = dataset(
    DEEPFAKE,
    test=[("hi", 0, "human"), ("HEY", 0, "human"), ("BUY NOW", 1, "gpt2"), ("WHO ARE we", 1, "rnn")],
)


@functools.cache
def evaluation(threshold: float | None = None) -> Evaluation:
    return evaluate(ShoutPredictor(HATE, threshold), HATE_ROWS)


def write(folder: Path, made: Evaluation, *, synthetic: bool = False, known: Card | None = None) -> None:
    provenance = FakeProvenance(synthetic=synthetic)
    write_report(ReportContext(evaluation=made, dataset=HATE_ROWS, provenance=provenance, card=known), folder)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write(folder, evaluation(), known=card())
    return folder


def card(init: str = "pretrained", synthetic: bool = False) -> Card:
    base = Base(
        name="openelm-270m",
        init=init,  # type: ignore[typeddict-item]
        source="apple/OpenELM-270M",
        revision=None,
        weights_sha256=None,
        tokenizer_sha256=None,
    )
    config = TrainConfig(task="hate", model=ModelConfig(name="openelm-270m"))
    provenance = FakeProvenance(synthetic=synthetic)
    return make_card(config, provenance=provenance, base=base, metrics=evaluation().metrics, git=None)


def test_an_evaluation_holds_what_was_predicted_for_each_row() -> None:
    test = evaluation().splits["test"]
    assert test.rows.tolist() == [0, 1, 2, 3]
    assert test.probabilities.tolist() == [[0.75, 0.25], [0.25, 0.75], [1, 0], [0, 1]]
    assert test.predicted.tolist() == [0, 1, 0, 1]
    assert test.metrics["confusion"] == [[1, 1], [1, 1]]
    assert evaluation().splits["validation"].metrics["accuracy"] == 3 / 4


def test_the_label_that_a_user_is_told_is_scored() -> None:
    assert evaluation(threshold=0.5).splits["validation"].metrics["accuracy"] == 1
    assert evaluation(threshold=0.9).splits["test"].predicted.tolist() == [0, 0, 0, 1]


def test_results_are_broken_down_by_generator() -> None:
    result = evaluate(ShoutPredictor(DEEPFAKE), DEEPFAKE_ROWS, splits=["test"])
    assert result.metrics["test"]["per_group"] == {
        "gpt2": {"n": 1, "accuracy": 1.0},
        "human": {"n": 2, "accuracy": 0.5},
        "rnn": {"n": 1, "accuracy": 1.0},
    }


def test_the_summary_names_metric_size_and_duration() -> None:
    result = evaluation()
    splits = {name: dataclasses.replace(split, seconds=2.0) for name, split in result.splits.items()}
    summary = dataclasses.replace(result, splits=splits).summary()
    assert summary.splitlines()[1] == "test: macro_f1 0.5000 on 4 tweets in 2.0 s (2 tweets/s)"


def test_a_split_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no split dev; it has validation, test"):
        evaluate(ShoutPredictor(HATE), HATE_ROWS, splits=["dev"])


def test_a_dataset_that_numbers_its_labels_otherwise_is_refused() -> None:
    swapped = HATE_ROWS.cast_column("label", ClassLabel(names=["hate", "not-hate"]))
    with pytest.raises(ValueError, match=r"labels are \['hate', 'not-hate'\]"):
        evaluate(ShoutPredictor(HATE), swapped)


def test_metrics_can_be_recomputed_from_the_files(tmp_path: Path) -> None:
    write(tmp_path, evaluation(threshold=0.7), known=card())
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert recompute(tmp_path, HATE_ROWS) == written["splits"]


def test_a_changed_prediction_changes_the_recomputed_numbers(tmp_path: Path) -> None:
    write_records(evaluation(), tmp_path, "0.dir", [])
    file = tmp_path / "predictions-test.csv"
    assert "3,0.0,1.0,hate\n" in file.read_text()
    file.write_text(file.read_text().replace("3,0.0,1.0,hate\n", "3,1.0,0.0,not-hate\n"))
    written = json.loads((tmp_path / "metrics.json").read_text())
    again = recompute(tmp_path, HATE_ROWS)
    assert again["test"]["accuracy"] == written["splits"]["test"]["accuracy"] + 1 / 4
    assert again["validation"] == written["splits"]["validation"]


def test_predictions_of_other_data_are_not_recomputed(tmp_path: Path) -> None:
    write_records(evaluation(), tmp_path, "0.dir", [])
    shorter = dataset(HATE, validation=[("peace", 0)], test=[("WAR", 1)])
    with pytest.raises(ValueError, match=r"4 predictions, but the split has 1 rows"):
        recompute(tmp_path, shorter)


FIGURES = (
    "headline",
    "confusion-test",
    "confusion-validation",
    "slices",
    "reliability",
    "roc",
    "precision-recall",
)


def test_no_file_of_a_report_holds_a_tweet(written: Path) -> None:
    files = [path for path in written.iterdir() if path.is_file()]
    assert {path.name for path in files} == {
        "metrics.json",
        *(f"report.{ending}" for ending in ("html", "md", "json")),
        "predictions-test.csv",
        "predictions-validation.csv",
        *(f"{name}.svg" for name in FIGURES),
    }
    assert [path.name for path in files if "secret phrase" in path.read_text()] == []


def test_the_same_evaluation_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write(tmp_path, evaluation(), known=card())
    for path in written.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_headline_is_among_published_test_results(written: Path) -> None:
    lines = (written / "report.md").read_text().splitlines()
    assert lines[0] == "# hate: evaluation"
    ours = next(i for i, line in enumerate(lines) if line.startswith("| → this model | 0.500 ["))
    assert lines[ours - 1] == "| FastText | 0.506 | TweetEval README |"
    assert lines[ours + 1] == "| RoBERTa, from scratch on tweets | 0.499 | TweetEval README |"


def test_sample_report_has_notice_and_no_comparison(tmp_path: Path) -> None:
    write(tmp_path, evaluation(), synthetic=True)
    text = (tmp_path / "report.md").read_text()
    assert text.startswith(f"> **{SYNTHETIC_NOTICE}**\n")
    assert "BERTweet" not in text


@pytest.mark.parametrize(
    ("init", "notice"),
    [("random", "random initial weights: no pretraining"), ("scratch", "trained from scratch")],
)
def test_a_report_says_which_weights_training_started_from(init: str, notice: str) -> None:
    def notices(known: Card, synthetic: bool = False) -> tuple[str, ...]:
        source = FakeProvenance(synthetic=synthetic)
        return ReportContext(
            evaluation=evaluation(), dataset=HATE_ROWS, provenance=source, card=known
        ).notices

    assert notices(card(init)) == (notice,)
    assert notices(card(init, synthetic=True), synthetic=True) == (SYNTHETIC_NOTICE, notice)
    assert notices(card("pretrained")) == ()


def test_a_split_of_one_label_is_reported_without_curves(tmp_path: Path) -> None:
    rows = dataset(HATE, test=[("a", 0), ("B", 0)])
    made = evaluate(ShoutPredictor(HATE), rows, ["test"])
    write_report(ReportContext(evaluation=made, dataset=rows, provenance=FakeProvenance()), tmp_path)
    assert not (tmp_path / "curves.svg").exists()
    text = (tmp_path / "report.md").read_text()
    assert "AUROC on test is undefined: every tweet is labeled not-hate" in text
