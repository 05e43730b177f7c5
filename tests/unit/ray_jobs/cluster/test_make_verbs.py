"""`make token up submit dashboard deploy down`: what they print and run; Ray is a stand-in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.unit.ray_jobs.cluster.test_config_file import LOCAL, OUTPUTS

pytestmark = pytest.mark.slow  # half a second for each make
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "secrets/ray_auth_token"}
NOTE = '#!/bin/sh\necho "v2=${RAY_UP_enable_autoscaler_v2-default} $(basename $0) $@" >> ran\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The repository's files for clusters, filled in, and stand-ins for `ray`, `serve` and `aws`."""
    for name in (
        "Makefile",
        "src",
        "serve",
        "ray_jobs",
        "requirements.lock",
        "requirements-cuda.lock",
        "pyproject.toml",
    ):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "bin").mkdir()
    for name in ("ray", "serve", "aws"):
        (tmp_path / "bin" / name).write_text(NOTE)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "ready").touch()
    (tmp_path / "key").touch()
    from ray_jobs.cluster.config_parser import read

    local = LOCAL | {"Key": str(tmp_path / "key")}
    (tmp_path / "cluster.yaml").write_text(read(ROOT / "cluster.yaml").filled(OUTPUTS))
    own = read(ROOT / "cluster.local.yaml").filled(local)
    (tmp_path / "cluster.local.yaml").write_text(own)
    return tmp_path


def make(place: Path, *words: str, token: bool = True) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    return subprocess.run(
        ["make", "BIN=bin", f"RUN={sys.executable}", "READY=ready", *words],
        cwd=place,
        env=settings | (TOKEN if token else {}),
        capture_output=True,
        text=True,
        check=False,
    )


def ran(place: Path) -> list[str]:
    return (place / "ran").read_text().splitlines() if (place / "ran").exists() else []


def test_up_creates_private_secrets_once(checkout: Path) -> None:
    first = make(checkout, "up")
    assert first.returncode == 0, first.stderr
    token = checkout / "secrets" / "ray_auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    key = checkout / "secrets" / "api_keys"
    assert key.stat().st_mode & 0o777 == 0o600
    secrets = [file.read_text().strip() for file in (token, key)]
    assert re.fullmatch(r"[0-9a-f]{64}", secrets[0])
    assert re.fullmatch(r"first:[\w-]{43}", secrets[1])
    assert not any(secret.split(":")[-1] in first.stdout + first.stderr for secret in secrets)
    assert "export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=" in first.stdout
    make(checkout, "token")
    assert [file.read_text().strip() for file in (token, key)] == secrets


def test_up_prints_the_command_and_runs_it(checkout: Path) -> None:
    assert "\nbin/ray up --yes cluster.yaml\n" in make(checkout, "up").stdout
    assert ran(checkout) == ["v2=default ray up --yes cluster.yaml"]


def test_up_with_incomplete_file_runs_nothing(checkout: Path) -> None:
    (checkout / "cluster.yaml").write_text((ROOT / "cluster.yaml").read_text())
    refused = make(checkout, "up")
    assert refused.returncode == 2
    assert "region is not filled in" in refused.stderr
    assert ran(checkout) == []


def test_local_cluster_uses_autoscaler_v1(checkout: Path) -> None:
    """With the second one, Ray starts only one of their workers."""
    done = make(checkout, "up", "CLUSTER=cluster.local.yaml")
    assert done.returncode == 0, done.stderr
    assert "RAY_UP_enable_autoscaler_v2=0 bin/ray up --yes cluster.local.yaml" in done.stdout
    assert ran(checkout) == ["v2=0 ray up --yes cluster.local.yaml"]


@pytest.mark.parametrize("verb", ["submit", "deploy"])
def test_missing_token_error_says_what_to_type(checkout: Path, verb: str) -> None:
    refused = make(checkout, verb, "JOB=ray_jobs.train", token=False)
    assert refused.returncode == 2
    wanted = f"export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={checkout}/secrets/ray_auth_token"
    assert f"this shell has no token for the cluster; type: {wanted}" in refused.stderr
    assert ran(checkout) == []


SUBMIT = "ray job submit --address http://127.0.0.1:8265 --runtime-env runtime_env.yaml --working-dir ."


@pytest.mark.parametrize(
    ("job", "store", "places"),
    [
        (
            "ray_jobs.train --task hate",
            [],
            " --run.storage s3://bucket/runs --run.registry s3://bucket/models --data.root s3://bucket/data",
        ),
        (
            "ray_jobs.train --task hate --data.root sample",
            ["STORE=s3://other"],
            " --run.storage s3://other/runs --run.registry s3://other/models",
        ),
        ("ray_jobs.train --task hate", ["STORE="], ""),
        ("ray_jobs.evaluate --task hate", [], " --registry s3://bucket/models --data s3://bucket/data"),
    ],
)
def test_job_gets_the_storage_urls(checkout: Path, job: str, store: list[str], places: str) -> None:
    assert make(checkout, "submit", f"JOB={job}", *store).returncode == 0
    assert ran(checkout) == [f"v2=default {SUBMIT} -- python -m {job}{places}"]


def test_submit_without_a_job_asks_for_one(checkout: Path) -> None:
    refused = make(checkout, "submit")
    assert refused.returncode == 2
    assert 'make submit JOB="ray_jobs.train --task hate"' in refused.stderr


@pytest.mark.parametrize(("store", "registry"), [([], "s3://bucket/models"), (["STORE="], "models")])
def test_deploy_serves_the_models_of_the_store(checkout: Path, store: list[str], registry: str) -> None:
    assert make(checkout, "deploy", *store).returncode == 0
    deployed = checkout / ".cache" / "serve.yaml"
    assert ran(checkout) == ["v2=default serve deploy --address http://127.0.0.1:8265 .cache/serve.yaml"]
    original = (ROOT / "serve" / "config.yaml").read_text()
    assert deployed.read_text() == original.replace("registry: models", f"registry: {registry}")


def test_down_and_dashboard_run_ray(checkout: Path) -> None:
    make(checkout, "token")
    assert make(checkout, "dashboard").returncode == 0
    assert make(checkout, "dashboard", "PORT=8000").returncode == 0
    assert make(checkout, "down").returncode == 0
    assert ran(checkout) == [
        "v2=default ray dashboard cluster.yaml",
        "v2=default ray dashboard --port 8000 --remote-port 8000 cluster.yaml",
        "v2=default ray down --yes cluster.yaml",
    ]


def test_down_works_without_the_token(checkout: Path) -> None:
    """A cluster that costs money can always be stopped."""
    assert make(checkout, "down", token=False).returncode == 0
    assert ran(checkout) == ["v2=default ray down --yes cluster.yaml"]
