"""What `ray job submit` would upload, computed by Ray's own packaging code."""

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from ray._private.runtime_env.packaging import create_package
from ray._private.runtime_env.working_dir import upload_working_dir_if_needed
from ray.runtime_env import RuntimeEnv

from tests.support.places import ROOT

MEGABYTE = 2**20

NEEDED = (
    "src/tweetelm/__init__.py",
    "src/tweetelm/data/sample/hate/test.txt",
    "ray_jobs/train.py",
    "serve/app.py",
)
LEFT_OUT = (
    ".git/objects/pack/a.pack",
    ".venv/lib/python3.11/site-packages/torch/lib/libtorch.so",
    ".mypy_cache/3.11/cache.db",
    "data/hate/train_text.txt",
    "models/hate/versions/1/card.json",
    "runs/job-a/checkpoint/state.json",
    "wandb/offline-run/files/output.log",
    "secrets/ray_auth_token",
    "tests/data/6750ee0.tar.xz",
    "tests/golden/tiny_a/io.npz",
    "src/tweetelm/__pycache__/predictor.pyc",
    "somewhere/model.safetensors",
)


def runtime_env() -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((ROOT / "runtime_env.yaml").read_text())
    return settings


def upload(project: Path, target: Path) -> Path:
    """The archive that `ray job submit` would send for the folder `project`."""

    def pack(folder: str, excludes: list[str] | None, is_file: bool = False) -> None:
        create_package(folder, target, include_gitignore=True, excludes=excludes)

    wanted = RuntimeEnv(**{**runtime_env(), "working_dir": str(project)})
    upload_working_dir_if_needed(wanted, include_gitignore=True, upload_fn=pack)
    return target


def names(archive: Path) -> set[str]:
    with ZipFile(archive) as packed:
        return set(packed.namelist())


def test_runtime_env_is_valid_for_ray() -> None:
    known = set(RuntimeEnv.known_fields)
    assert set(runtime_env()) <= known
    assert all(isinstance(value, str) for value in runtime_env()["env_vars"].values())


@pytest.mark.parametrize("ignored", [False, True], ids=["excludes alone", "with .gitignore"])
def test_upload_has_code_but_no_data_or_secrets(tmp_path: Path, ignored: bool) -> None:
    project = tmp_path / "project"
    for name in NEEDED + LEFT_OUT:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    if ignored:
        (project / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    assert names(upload(project, tmp_path / "sent.zip")) - {".gitignore"} == set(NEEDED)


def test_upload_is_below_five_megabytes(tmp_path: Path) -> None:
    sent = upload(ROOT, tmp_path / "sent.zip")
    assert {"runtime_env.yaml", "src/tweetelm/tasks/hate.toml"} <= names(sent)
    assert sent.stat().st_size < 5 * MEGABYTE
