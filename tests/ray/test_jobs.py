"""`ray job submit` as in the documentation, on a head with token authentication."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.ray_head import Cluster, ray_job, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.slow]

IMPORT_ON_A_WORKER = """
import ray

@ray.remote
def where():
    import tweetelm.tasks
    return tweetelm.tasks.__file__

print("the worker has", ray.get(where.remote()))
"""


def submit(
    cluster: Cluster, *entrypoint: str, env: dict[str, str] | None = None, wait: bool = True
) -> subprocess.CompletedProcess[str]:
    flags = ["--working-dir", ".", "--runtime-env", "runtime_env.yaml", *([] if wait else ["--no-wait"])]
    return ray_job(cluster, "submit", *flags, "--", *entrypoint, env=env)


def train(cluster: Cluster, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    line = ["python", "-m", "ray_jobs.train", "--task", "hate", "--data.root", "sample"]
    line += ["--model.name", "scratch-1m", "--name", "job-a", "--loop.epochs", "1", "--run.workers", "1"]
    line += ["--data.limit", "300", "--model.max-tokens", "64"]
    line += ["--run.storage", str(folder / "runs"), "--run.registry", str(folder / "models")]
    return submit(cluster, *line, "--tracking.wandb", "off", *flags)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def first(cluster: Cluster, folder: Path) -> subprocess.CompletedProcess[str]:
    """Submit the run `job-a` for the first time."""
    return train(cluster, folder)


def test_workers_import_the_uploaded_library(cluster: Cluster) -> None:
    done = submit(cluster, "python", "-c", IMPORT_ON_A_WORKER)
    assert done.returncode == 0, done.stdout
    assert re.search(
        r"the worker has \S*working_dir_files/\S+/src/tweetelm/tasks/__init__\.py", done.stdout
    ), done.stdout


def test_job_without_token_is_rejected(cluster: Cluster) -> None:
    bare = {key: value for key, value in cluster.env.items() if not key.startswith("RAY_AUTH")}
    done = submit(cluster, "python", "-c", "print('came in')", env=bare)
    assert done.returncode != 0
    assert "authentication token" in done.stdout, done.stdout
    assert "came in" not in done.stdout


def test_job_with_wrong_token_is_rejected(cluster: Cluster) -> None:
    wrong = {key: value for key, value in cluster.env.items() if key != "RAY_AUTH_TOKEN_PATH"}
    done = submit(cluster, "python", "-c", "print('came in')", env={**wrong, "RAY_AUTH_TOKEN": "0" * 64})
    assert done.returncode != 0
    assert "token is invalid" in done.stdout, done.stdout
    assert "came in" not in done.stdout


def test_training_job_logs_progress_and_succeeds(first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stdout
    assert re.search(r"epoch.*step.*loss", first.stdout), first.stdout


def test_training_job_publishes_a_model(first: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert first.returncode == 0, first.stdout
    assert (folder / "runs" / "job-a").is_dir()
    assert (folder / "models" / "hate" / "current.json").is_file()


def test_finished_run_is_not_trained_again(
    cluster: Cluster, folder: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stdout
    again = train(cluster, folder)
    assert again.returncode == 0, again.stdout
    assert re.search(r"job-a.*already|resum.*job-a|job-a.*resum", again.stdout, re.IGNORECASE), again.stdout


def test_name_conflict_shows_the_difference(
    cluster: Cluster, folder: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stdout
    other = train(cluster, folder, "--optim.lr", "0.0123")
    assert other.returncode == 1, other.stdout
    assert re.search(r"optim\.lr: \S+ -> 0\.0123", other.stdout), other.stdout


def test_stopped_evaluation_can_be_repeated(
    cluster: Cluster, folder: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0, first.stdout
    line = ["python", "-m", "ray_jobs.evaluate", "--task", "hate", "--data", "sample", "--no-probes"]
    line += ["--registry", str(folder / "models"), "--out", str(folder / "report")]
    (id_,) = set(re.findall(r"raysubmit_\w+", submit(cluster, *line, wait=False).stdout))
    wait_for("it runs", lambda: '"RUNNING"' in cluster.get(f"/api/jobs/{id_}"))
    assert ray_job(cluster, "stop", id_).returncode == 0
    assert "was stopped" in ray_job(cluster, "status", id_).stdout
    assert not (folder / "report").exists()
    done = submit(cluster, *line)
    assert done.returncode == 0, done.stdout
    assert "macro" in done.stdout, done.stdout
    assert (folder / "report" / "report.html").is_file()
