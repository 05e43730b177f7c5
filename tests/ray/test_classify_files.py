"""`python -m ray_jobs.classify_files`: killed at any moment, its results are those of `Predictor`."""

import gzip
import json
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.support.archive import write_rows
from tests.support.job_commands import run, started
from tests.support.ray_head import Cluster, wait_for
from tests.support.ray_service import publish
from tests.support.tweets import thousand_tweets
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve

pytestmark = [pytest.mark.ray, pytest.mark.slow]
ROWS = 4000
KILLS = 4


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("classify")
    publish(place / "models", place / "checkpoint", seed=1)
    return place / "models"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files in three formats, a third of them retweets, with two rows that cannot be read."""
    place, chance = tmp_path_factory.mktemp("archive"), random.Random(0)
    base = [row["text"] for row in thousand_tweets()]
    texts = [f'{base[i % len(base)]}, "{i}"\nsecond line' for i in range(ROWS)]
    rows = [{"id": str(i), "text": texts[i] if i % 3 else chance.choice(texts[: i + 1])} for i in range(ROWS)]
    write_rows(place / "a.csv.gz", rows[:1500])
    write_rows(place / "b.parquet", rows[1500:2500])
    write_rows(place / "c.csv", rows[2500:])
    content = gzip.decompress((place / "a.csv.gz").read_bytes())
    (place / "a.csv.gz").write_bytes(gzip.compress(content + b'extra,"open\r\n1499b,\r\n'))
    return place


def command(archive: Path, registry: Path, out: Path, *flags: str) -> list[str]:
    line = ["ray_jobs.classify_files", str(archive), "--task", "hate", "--cpus", "1"]
    return [*line, "--registry", str(registry), "--out", str(out), "--fragment-rows", "50", *flags]


def done(out: Path) -> int:
    return len(list(out.glob("*/done/*.json")))


def actors(cluster: Cluster) -> list[psutil.Process]:
    """The processes of this cluster that classify."""
    own = {"RAY_AUTH_TOKEN_PATH": cluster.env["RAY_AUTH_TOKEN_PATH"]}.items()
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            if "MapWorker" in " ".join(process.cmdline()) and own <= process.environ().items():
                found.append(process)
    return found


def check_rows(out: Path, registry: Path) -> None:
    """Compare all results with `Predictor`, row by row."""
    (folder,) = out.iterdir()
    table = pq.read_table(folder / "rows").to_pylist()
    assert [row["id"] for row in table] == [str(i) for i in range(ROWS)]
    expected = Predictor.load(resolve("hate", registry=str(registry))).predict([row["text"] for row in table])
    for row, prediction in zip(table, expected, strict=True):
        assert row["label"] == prediction.label
        found = (row["prob_not-hate"], row["prob_hate"])
        assert found == pytest.approx(prediction.probabilities, abs=1e-5)
        assert row["truncated"] == prediction.truncated
    side = [path.read_text() for path in (folder / "refused").iterdir()]
    refused = [json.loads(line) for text in side for line in text.splitlines()]
    assert sorted((row["row"], row["reason"]) for row in refused) == [
        (1501, "a quoted field is not closed"),
        (1502, "the text is missing"),
    ]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["rows"], sum(summary["refused"].values())) == (ROWS, 2)
    assert sum(summary["labels"].values()) == ROWS
    assert summary["duplicates"] >= ROWS // 3


def test_killed_command_continues_and_is_exact(
    cluster: Cluster, archive: Path, registry: Path, tmp_path: Path
) -> None:
    line, chance, written = command(archive, registry, tmp_path), random.Random(1), {}
    for kill in range(KILLS):
        target = done(tmp_path) + chance.randrange(1, 12)
        with started(cluster, *line) as process:
            while done(tmp_path) < target:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.01)
            time.sleep(chance.random() / 20)
            process.send_signal(signal.SIGKILL)
        wait_for("its workers are gone", lambda: not actors(cluster))
        files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/rows/*") if path.name[0] != "."}
        kept = [path for path in written if files[path] == written[path]]
        assert len(kept) >= len(written) - 2, f"kill {kill}: complete fragments were repeated"
        written = files
    status, said = run(cluster, *line)
    assert status == 0, said
    assert "continuing: " in said
    assert "Traceback" not in said
    check_rows(tmp_path, registry)
    status, said = run(cluster, *line)
    assert (status, "continuing: 4,002 of 4,002 rows are done" in said) == (0, True), said


def test_killed_worker_loses_no_row(cluster: Cluster, archive: Path, registry: Path, tmp_path: Path) -> None:
    with started(cluster, *command(archive, registry, tmp_path)) as process:
        wait_for("fragments are done", lambda: done(tmp_path) >= 3)
        actors(cluster)[0].kill()
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    check_rows(tmp_path, registry)


def test_interrupted_command_says_how_to_continue(
    cluster: Cluster, archive: Path, registry: Path, tmp_path: Path
) -> None:
    with started(cluster, *command(archive, registry, tmp_path)) as process:
        wait_for("fragments are done", lambda: done(tmp_path) >= 1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 130, said
    assert "interrupted; run the same command again to continue" in said
    assert "Traceback" not in said
