"""`python -m ray_jobs.evaluate` on small models and the embedded sample."""

import dataclasses
import json
from pathlib import Path

import pytest

from ray_jobs.evaluate import Arguments, evaluate
from ray_jobs.locks.run_lock import locked_folder
from tests.support.checkpoints import checkpoint
from tests.support.fakes import card
from tweetelm.data import SAMPLE, hold_out, load, provenance
from tweetelm.evaluation.evaluate import calibrated
from tweetelm.evaluation.evaluate import evaluate as score
from tweetelm.evaluation.full_report import gather
from tweetelm.evaluation.report.prediction_files import write_records
from tweetelm.predictor import Predictor
from tweetelm.registry import publish, resolve
from tweetelm.tasks import DEEPFAKE, HATE, Task

pytestmark = pytest.mark.slow


def published(place: Path, registry: str, task: Task = HATE, seed: int = 0, md5: str = "") -> str:
    """Publish an evaluated and calibrated version with its predictions."""
    folder = checkpoint(place / f"{task.name}-{seed}", task, seed=seed)
    rows, source = load(task, SAMPLE), provenance(task, SAMPLE)
    found = calibrated(score(Predictor.load(folder, precision="float32"), rows), rows)
    data = {"root": SAMPLE, "md5": md5 or source.md5, "synthetic": True, "rows": source.rows}
    made = card(
        task=task.name, labels=task.labels, metric=task.metric, metrics=found.metrics, data=data,
        temperature=found.temperature,
    )  # fmt: skip
    report = place / f"report-{task.name}-{seed}"
    report.mkdir()
    write_records(found, report, source.md5, made.notices)
    return publish(folder, made, registry=registry, evaluation=report).version


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def registry(place: Path) -> str:
    return str(place / "models")


@pytest.fixture(scope="module")
def versions(place: Path, registry: str) -> list[str]:
    return [published(place, registry, seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def evaluated(versions: list[str], registry: str, place: Path) -> Path:
    """Return the report of the first version compared with the second."""
    arguments = Arguments(
        task="hate", version=versions[0], against=versions[1], registry=registry, data=SAMPLE,
        out=place / "evaluated", probes=False,
    )  # fmt: skip
    assert evaluate(arguments) == 0
    return place / "evaluated"


def test_evaluation_reproduces_published_metrics(evaluated: Path, versions: list[str], registry: str) -> None:
    stored = resolve("hate", registry=registry, version=versions[0]) / "evaluation"
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (evaluated, stored))
    assert theirs["temperature"] != 1.0
    for split in ("validation", "test"):
        assert ours["splits"][split]["confusion"] == theirs["splits"][split]["confusion"]
        areas = [content["splits"][split]["auroc"] for content in (ours, theirs)]
        assert areas[0] == pytest.approx(areas[1], abs=1e-3)  # a tie more or less, in float32
    lines = [(folder / "predictions-test.csv").read_text().splitlines()[5] for folder in (evaluated, stored)]
    told = [list(map(float, line.split(",")[1:3])) for line in lines]
    assert told[0] == pytest.approx(told[1], abs=1e-5)


def test_versions_are_compared_tweet_by_tweet(evaluated: Path, versions: list[str]) -> None:
    content = json.loads((evaluated / "report.json").read_text())
    section = next(s for s in content["sections"] if s["title"] == f"Against {versions[1]}")
    counts = dict(section["tables"][1]["rows"])
    assert sum(counts.values()) == len(load(HATE, SAMPLE)["test"])
    difference = section["tables"][0]["rows"][1][3]["value"]
    only = counts["only this model"] - counts[f"only {versions[1]}"]
    assert difference == pytest.approx(only / sum(counts.values()))


def test_labels_of_a_file_are_compared_row_by_row(
    versions: list[str], registry: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = load(HATE, SAMPLE)["test"]["label"]
    labels = [1 - truth[0], *truth[1:]]
    (place / "peer.txt").write_text("".join(f"{label}\n" for label in labels))
    arguments = Arguments(
        task="hate", version=versions[0], against_predictions=(str(place / "peer.txt"),), registry=registry,
        data=SAMPLE, out=place / "peer", probes=False,
    )  # fmt: skip
    assert evaluate(arguments) == 0
    printed = capsys.readouterr().out
    content = json.loads((place / "peer" / "report.json").read_text())
    section = next(s for s in content["sections"] if s["title"] == "Against peer.txt")
    accuracy = next(row for row in section["tables"][0]["rows"] if row[0] == "accuracy")
    assert accuracy[2]["value"] == pytest.approx(1 - 1 / len(truth))
    counts = dict(section["tables"][1]["rows"])
    errs = [line.split(",")[1] for line in (place / "peer" / "errors-test.csv").read_text().splitlines()[1:]]
    assert errs.count("this model") == counts["only peer.txt"] > 0
    assert f"only this model errs on {counts['only peer.txt']} tweets" in printed
    both = dataclasses.replace(arguments, against=versions[1])
    with pytest.raises(ValueError, match="--against-predictions were both given; expected one of them"):
        evaluate(both)


def test_comparison_needs_same_data_and_task(versions: list[str], registry: str, place: Path) -> None:
    other = published(place, registry, seed=2, md5="f" * 32 + ".dir")
    bot = published(place, registry, DEEPFAKE)
    folder = resolve("hate", registry=registry, version=versions[0])
    for version, error, message in (
        (other, ValueError, f"md5 {'f' * 32}.dir, but sample has md5"),
        (bot, FileNotFoundError, f"hate has no version '{bot}'"),
    ):
        predictor = Predictor.load(folder, precision="float32")
        with pytest.raises(error, match=message):
            gather(predictor, folder, data=SAMPLE, registry=registry, against=version)


def test_show_text_prints_tweets_without_storing(
    versions: list[str], registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("captum", reason="captum is an extra: pip install captum")
    arguments = Arguments(
        task="hate", version=versions[0], registry=registry, data=SAMPLE, out=tmp_path, show_text=True
    )
    evaluate(arguments)
    printed = capsys.readouterr().out
    tweets = [text for text in load(HATE, SAMPLE)["test"]["text"] if f"    {text}\n" in printed]
    assert len(tweets) >= 10
    for path in tmp_path.iterdir():
        content = path.read_text()
        assert not [text for text in tweets if text in content], path.name
    titles = [s["title"] for s in json.loads((tmp_path / "report.json").read_text())["sections"]]
    assert "Tokens behind the worst errors" in titles


def test_held_out_rows_are_evaluated_again(place: Path, registry: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "checkpoint", DEEPFAKE, seed=3)
    config = {"task": "deepfake", "data": {"root": SAMPLE, "hold_out": "generator:rnn"}}
    made = card(task="deepfake", labels=DEEPFAKE.labels, metric="accuracy", config=config)
    version = publish(folder, made, registry=registry).version
    arguments = Arguments(
        task="deepfake", version=version, registry=registry, data=SAMPLE, out=tmp_path / "out", probes=False
    )
    evaluate(arguments)
    lines = (tmp_path / "out" / "predictions-held-out.csv").read_text().splitlines()
    assert len(lines) - 1 == len(hold_out(load(DEEPFAKE, SAMPLE), "generator:rnn")["held-out"])
    assert "## Held out" in (tmp_path / "out" / "report.md").read_text()


def test_report_folder_is_locked_and_checked_first(versions: list[str], registry: str, place: Path) -> None:
    arguments = Arguments(task="hate", registry=registry, data=SAMPLE, out=place / "busy", probes=False)
    with locked_folder(str(place / "busy"), "the report"):
        busy = r"the report in .*/busy is in use by .*; or choose another folder with --out"
        with pytest.raises(ValueError, match=busy):
            evaluate(arguments)
        assert not (place / "busy" / "report.html").exists()
    (place / "file").write_text("x")
    with pytest.raises(OSError, match=r"cannot write .*file/report .*choose another folder with --out"):
        evaluate(dataclasses.replace(arguments, out=place / "file" / "report"))
    assert evaluate(arguments) == 0
    assert not [path for path in (place / "busy").iterdir() if path.name.startswith(".")]


def test_checkpoint_path_expands_home(
    place: Path, versions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(place))
    arguments = Arguments(
        task="hate", checkpoint="~/hate-0", data=SAMPLE, out=Path("~/from home"), probes=False
    )
    assert evaluate(arguments) == 0
    assert (place / "from home" / "report.html").is_file()
