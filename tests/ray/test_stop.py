"""`ray job stop`: the run saves a checkpoint, its trackers record it, and the same command resumes it."""

import json
import re
from pathlib import Path

import pytest
import ray
from ray.job_submission import JobSubmissionClient

from tests.support.ray_head import Cluster, ray_job, train_workers, wait_for
from tests.support.ray_recorded import frozen
from tests.support.wandb_records import read_records
from tweetelm.tracking.trackers import read_history

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def job(cluster: Cluster, *line: str) -> str:
    """Return the output of a `ray job` command, which must succeed."""
    done = ray_job(cluster, *line)
    assert done.returncode == 0, done.stdout
    return done.stdout


def submit(cluster: Cluster, folder: Path, *flags: str) -> str:
    line = ["python", "-m", "ray_jobs.train", "--task", "hate", "--data.root", "sample", "--name", "stopped"]
    line += ["--model.name", "scratch-1m", "--loop.epochs", "2", "--run.workers", "2"]
    line += ["--loop.batch-tokens", "640", "--tracking.wandb", "offline", "--run.cpus", "1"]
    line += ["--data.limit", "300", "--model.max-tokens", "64", "--loop.checkpoint-every", "1"]
    line += ["--run.storage", str(folder / "runs"), "--run.registry", str(folder / "models")]
    return job(
        cluster, "submit", *flags, "--working-dir", ".", "--runtime-env", "runtime_env.yaml", "--", *line
    )


def books(run: Path) -> list[tuple[bool, list[int], list[int]]]:
    """Return, per wandb file, whether the run was preempted, its exit codes and its steps."""
    found = []
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime):
        records = read_records(path)
        steps = [record.history.step.num for record in records if record.HasField("history")]
        codes = [record.exit.exit_code for record in records if record.HasField("exit")]
        found.append((any(record.HasField("preempting") for record in records), codes, steps))
    return found


def saved(run: Path) -> int:
    """Return the step of the last checkpoint."""
    states = [json.loads(path.read_text()) for path in run.glob("checkpoint_*/state.json")]
    return max(int(state["progress"]["step"]) for state in states)


def free(state: str) -> bool:
    """Return whether all placement groups are released."""
    groups = ray.util.placement_group_table().values()
    return all(group["state"] == state for group in groups) and ray.available_resources().get("CPU") == 2


def test_stopped_job_can_be_resumed(driver: Cluster, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "stopped"
    jobs = JobSubmissionClient(driver.dashboard)
    id_ = re.findall(r"raysubmit_\w+", submit(driver, tmp_path, "--no-wait"))[0]
    wait_for("it trains", lambda: bool(list(run.glob("checkpoint_*/state.json"))))
    with frozen(driver):  # so that the run does not finish first
        job(driver, "stop", "--no-wait", id_)
        wait_for("it was told", lambda: "stopping: saving a checkpoint" in jobs.get_job_logs(id_))
    wait_for("it has ended", lambda: jobs.get_job_status(id_).is_terminal())
    assert "was stopped" in job(driver, "status", id_)
    log = job(driver, "logs", id_)
    (step,) = (int(found) for found in re.findall(r"preempted after step (\d+), checkpoint saved", log))
    assert "run the same command again to resume" in log
    assert "Traceback" not in log, log
    assert saved(run) == step
    wait_for("no worker is left", lambda: not train_workers(driver))
    wait_for("no place is taken", lambda: free("REMOVED"))
    written = [line["step"] for line in read_history(run / "history.jsonl")]
    assert books(run) == [(True, [1], written)]

    again = submit(driver, tmp_path)
    assert f"resuming stopped at step {step}" in again
    assert "succeeded" in again
    _, second, _ = books(run)
    assert second[:2] == (False, [0])
    assert min(second[2]) > step
