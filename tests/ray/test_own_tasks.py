"""Tasks of one's own through the whole way: `data init`, train, report, publish, serve."""

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve import client
from tests.support.own_tasks import write_csv, write_tweeteval
from tests.support.ray_service import private_ray, serving
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve
from tweetelm.tasks import read_task

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TWENTY = tuple(f"kind{number:02}" for number in range(20))
EMOJI = Path(os.environ.get("TWEETELM_TWEETEVAL", "tweeteval/datasets")) / "emoji"
FAST = ("--model.name", "scratch-1m", "--loop.batch-tokens", "1024", "--optim.lr", "3e-3", "--loop.epochs")


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    with private_ray() as env:
        yield env


def typed(folder: Path, env: dict[str, str], *words: str) -> str:
    """Run `tweetelm WORDS` in a folder; returns what it printed."""
    line = [sys.executable, "-c", "from tweetelm.cli.dispatch import main; main()", *words]
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def scores(folder: Path, task: str) -> dict[str, float]:
    """The test metrics of the task's current version."""
    version = resolve(task, registry=str(folder / "models"))
    found: dict[str, float] = json.loads((version / "card.json").read_text())["metrics"]["test"]
    return found


def test_binary_csv_with_mark_and_quotes_is_trained(tmp_path: Path, env: dict[str, str]) -> None:
    write_csv(tmp_path / "data" / "mine.csv", ("fine", "late"), 300, delimiter=";")
    printed = typed(tmp_path, env, "data", "init", "data/mine.csv", "--text", "tweet", "--label", "side",
                    "--group", "author")  # fmt: skip
    assert [path.name for path in tmp_path.glob("*.toml")] == ["mine.toml"]
    assert "tweetelm train --task mine.toml" in printed
    printed = typed(tmp_path, env, "train", "--task", "mine.toml", *FAST, "6")
    assert "published " in printed
    assert scores(tmp_path, "mine")["macro_f1"] > 0.9
    typed(tmp_path, env, "evaluate", "--task", "mine", "--out", "report")
    report = (tmp_path / "report" / "report.md").read_text()
    assert "Calibration and threshold" in report
    assert "Behavior" not in report
    assert "mine/" in typed(tmp_path, env, "registry", "list")
    text = "our team is zim1 and gentle, quiet at noon, no. 5"
    local = Predictor.load(resolve("mine", registry=str(tmp_path / "models")), precision="float32")
    with serving(tmp_path / "models", env) as service:
        body = {"model": "mine", "input": text}
        (found,) = client.post(f"{service.url}/v1/classify", body, key="")["data"]
    assert found["label"] == local.predict(text).label == "late"
    assert found["probs"] == pytest.approx(local.predict(text).probabilities, abs=1e-5)


def test_twenty_labels_are_trained_and_reported(tmp_path: Path, env: dict[str, str]) -> None:
    write_csv(tmp_path / "kinds.csv", TWENTY, 100)
    typed(tmp_path, env, "data", "init", "kinds.csv", "--text", "tweet", "--label", "side")
    assert read_task(tmp_path / "kinds.toml").labels == TWENTY
    typed(tmp_path, env, "train", "--task", "kinds.toml", *FAST, "8", "--optim.class-weights", "balanced")
    found = scores(tmp_path, "kinds")
    assert found["macro_f1"] > 0.5
    assert found["auroc"] > 0.9
    folder = resolve("kinds", registry=str(tmp_path / "models"))
    assert {"report.html", "labels.svg"} <= {path.name for path in (folder / "evaluation").iterdir()}
    typed(tmp_path, env, "evaluate", "--task", "kinds.toml", "--out", "report", "--no-probes")


def test_tasks_of_a_folder_make_the_table(tmp_path: Path, env: dict[str, str]) -> None:
    write_tweeteval(tmp_path / "all" / "irony", ("non_irony", "irony"), 60)
    for target in ("climate", "hillary"):
        write_tweeteval(tmp_path / "all" / "stance" / target, ("none", "against", "favor"), 40)
    line = ("tweeteval", "--data.root", "all", "--name", "mini", "--seeds", "1", *FAST, "4",
            "--tracking.wandb", "off")  # fmt: skip
    printed = typed(tmp_path, env, *line)
    assert "emotion: not trained: " in printed
    runs = sorted(path.name for path in (tmp_path / "runs").glob("mini-*"))
    assert runs == ["mini-irony-seed0", "mini-stance-seed0"]
    page = (tmp_path / "tweeteval.md").read_text()
    ours = next(row for row in page.splitlines() if row.startswith("| → scratch-1m")).split(" | ")
    assert [number for number, cell in enumerate(ours) if cell == "–"] == [1, 2, 3, 5, 6]
    assert ours[9] == "2"
    trained = json.loads((tmp_path / "runs" / "mini-stance-seed0" / "finished.json").read_text())["scores"]
    assert trained["test"]["mean_f1:against,favor"] > 0.5
    again = typed(tmp_path, env, *line)
    assert printed.count("training 1 seed,") == 2
    assert "training" not in again
    assert (tmp_path / "tweeteval.md").read_text() == page


@pytest.mark.skipif(
    not EMOJI.is_dir(), reason=f"no {EMOJI}; $TWEETELM_TWEETEVAL names another clone's datasets"
)
def test_emoji_of_tweeteval_is_trained(tmp_path: Path, env: dict[str, str]) -> None:
    texts = (EMOJI / "train_text.txt").read_text(encoding="utf-8").split("\n")[:-1]
    labels = (EMOJI / "train_labels.txt").read_text().split()
    rows = random.Random(0).sample(list(zip(texts, labels, strict=True)), 2000)
    with (tmp_path / "emoji.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("tweet", "emoji"), *rows])
    typed(tmp_path, env, "data", "init", "emoji.csv", "--text", "tweet", "--label", "emoji")
    assert read_task(tmp_path / "emoji.toml").labels == tuple(map(str, range(20)))
    typed(tmp_path, env, "train", "--task", "emoji.toml", *FAST, "2")
    assert 0 < scores(tmp_path, "emoji")["macro_f1"] < 1


def test_settings_for_two_labels_are_refused_first(tmp_path: Path, env: dict[str, str]) -> None:
    write_csv(tmp_path / "three.csv", ("a", "b", "c"), 20)
    typed(tmp_path, env, "data", "init", "three.csv", "--text", "tweet", "--label", "side")
    line = [sys.executable, "-m", "ray_jobs.train", "--task", "three.toml", *FAST, "1"]
    for flags, message in (
        (("--run.threshold", "validation"), "needs a task with two labels; three has 3"),
        (
            ("--data.hold-out", "account:1/2"),
            "needs the column screen_name, which the task lacks",
        ),
        (("--data.root", "sample"), "the embedded sample has the tasks hate and deepfake only"),
    ):
        done = subprocess.run(
            [*line, *flags], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        printed = " ".join((done.stdout + done.stderr).replace("│", " ").split())
        assert done.returncode == 2, printed
        assert message in printed
        assert "Traceback" not in printed
        assert not list((tmp_path / "runs").glob("*"))
