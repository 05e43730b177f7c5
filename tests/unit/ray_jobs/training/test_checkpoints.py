"""A run resumes from its newest valid checkpoint, also if other checkpoints or Ray's snapshot are damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import ray.train
import torch
from safetensors.torch import save_file

from ray_jobs.training.checkpoints import SNAPSHOT, checkpoint_fault, leave_out_damaged
from ray_jobs.training.worker_config import SCORE
from tweetelm.files import object_storage

DOCUMENTS = ("config.json", "encoding.json", "tokenizer.json", "tokenizer_config.json")
SCORES = {1: 0.7, 2: 0.5, 3: 0.6}  # by step


def write_checkpoint(folder: Path, step: int) -> Path:
    folder.mkdir(parents=True)
    for name in DOCUMENTS:
        (folder / name).write_text("{}")
    metrics = {"step": step, SCORE: SCORES[step], "validation_macro_f1": SCORES[step]}
    (folder / "state.json").write_text(json.dumps({"progress": {"step": step}, "metrics": metrics}))
    for name in ("model.safetensors", "optimizer.safetensors"):
        save_file({"weight": torch.full((2, 3), float(step))}, folder / name)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with three checkpoints and Ray's list of them."""
    folder = tmp_path / "run"
    for step in SCORES:
        write_checkpoint(folder / f"checkpoint_{step}", step)
    (folder / SNAPSHOT).write_bytes(b"")
    leave_out_damaged(str(folder))  # writes the snapshot
    return folder


def latest(run: Path) -> str:
    """As Ray reads it."""
    checkpoint = ray.train.Result.from_path(str(run)).checkpoint
    return Path(checkpoint.path).name if checkpoint else ""


def listed(run: Path) -> dict[str, float]:
    best = ray.train.Result.from_path(str(run)).best_checkpoints or []
    return {Path(checkpoint.path).name: metrics[SCORE] for checkpoint, metrics in best}


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights missing": lambda folder: (folder / "model.safetensors").unlink(),
    "weights cut": lambda folder: cut(folder / "model.safetensors"),
    "optimizer empty": lambda folder: (folder / "optimizer.safetensors").write_bytes(b""),
    "optimizer garbage": lambda folder: (folder / "optimizer.safetensors").write_bytes(b"x" * 500),
    "header garbage": lambda folder: garble(folder / "model.safetensors"),
    "state empty": lambda folder: (folder / "state.json").write_bytes(b""),
    "state cut": lambda folder: cut(folder / "state.json"),
    "state a list": lambda folder: (folder / "state.json").write_bytes(b"[]"),
    "state without progress": lambda folder: (folder / "state.json").write_bytes(b"{}"),
    "state without step": lambda folder: (folder / "state.json").write_bytes(b'{"progress": {"step": "1"}}'),
    "state not UTF-8": lambda folder: (folder / "state.json").write_bytes(b'{"\xff": 1}'),
    "tokenizer missing": lambda folder: (folder / "tokenizer.json").unlink(),
    "configuration empty": lambda folder: (folder / "config.json").write_bytes(b""),
    "encoding a number": lambda folder: (folder / "encoding.json").write_bytes(b"1"),
    "everything gone": lambda folder: [file.unlink() for file in folder.iterdir()],
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def garble(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[8:20] = b"\xfe" * 12
    file.write_bytes(bytes(data))


def test_valid_run_is_unchanged(run: Path) -> None:
    before = (run / SNAPSHOT).read_bytes()
    assert leave_out_damaged(str(run)) == []
    assert (run / SNAPSHOT).read_bytes() == before
    assert (latest(run), len(listed(run))) == ("checkpoint_3", 3)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
def test_checkpoint_before_a_damaged_one_is_used(run: Path, damage: Callable[[Path], object]) -> None:
    damage(run / "checkpoint_3")
    messages = leave_out_damaged(str(run))
    assert messages[0].startswith(f"checkpoint {run}/checkpoint_3 is damaged (")
    assert messages[1:] == [f"resuming from {run}/checkpoint_2"]
    assert latest(run) == "checkpoint_2"
    assert listed(run) == {"checkpoint_1": 0.7, "checkpoint_2": 0.5}
    assert leave_out_damaged(str(run)) == [], "the second call changes nothing"


def test_foreign_files_are_ignored(run: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "state.json~", ".ipynb_checkpoints/x.json"):
        for folder in (run, run / "checkpoint_3"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(b"\0")
    assert leave_out_damaged(str(run)) == []


def test_all_damaged_checkpoints_are_skipped(run: Path) -> None:
    cut(run / "checkpoint_3" / "model.safetensors")
    cut(run / "checkpoint_2" / "state.json")
    assert leave_out_damaged(str(run))[-1] == f"resuming from {run}/checkpoint_1"
    cut(run / "checkpoint_1" / "state.json")
    assert (
        leave_out_damaged(str(run))[-1] == "no valid checkpoint is left: training restarts from the beginning"
    )
    assert latest(run) == ""


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b"{}", b"\xff", b'{"checkpoint_results": 3}', b"null", b" \n"]
)
def test_damaged_snapshot_is_rebuilt(run: Path, damaged: bytes) -> None:
    (run / SNAPSHOT).write_bytes(damaged)
    messages = leave_out_damaged(str(run))
    assert messages[0].startswith(f"{run}/{SNAPSHOT} is damaged (")
    assert messages[1] == f"resuming from {run}/checkpoint_3"
    assert (latest(run), listed(run)) == ("checkpoint_3", {f"checkpoint_{s}": v for s, v in SCORES.items()})


def test_damaged_snapshot_and_checkpoint_are_handled(run: Path) -> None:
    cut(run / SNAPSHOT)
    cut(run / "checkpoint_3" / "optimizer.safetensors")
    assert leave_out_damaged(str(run))[-1] == f"resuming from {run}/checkpoint_2"
    assert latest(run) == "checkpoint_2"


def test_snapshot_with_outside_folders_is_damaged(run: Path) -> None:
    snapshot = json.loads((run / SNAPSHOT).read_text())
    snapshot["latest_checkpoint_result"]["checkpoint_dir_name"] = "../other"
    (run / SNAPSHOT).write_text(json.dumps(snapshot))
    assert "is damaged" in leave_out_damaged(str(run))[0]
    assert latest(run) == "checkpoint_3"


def test_runs_in_object_storage_are_checked(run: Path, remote: str) -> None:
    object_storage.send(run, remote)
    assert leave_out_damaged(remote) == []
    object_storage.write(f"{remote}/checkpoint_3/state.json", b"")
    assert checkpoint_fault(f"{remote}/checkpoint_3").startswith("state.json is damaged (it is empty)")
    assert leave_out_damaged(remote)[-1] == f"resuming from {remote}/checkpoint_2"
