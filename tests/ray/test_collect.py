"""`ray job submit` of the collection, on a head with token authentication."""

from pathlib import Path

import pytest

from tests.support.collecting import ids
from tests.support.ray_head import Cluster, ray_job
from tests.support.x_api import TOKEN, timeline, x_server

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_submitted_job_collects_and_prints_no_token(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with x_server(timelines={"ada": timeline(120)}) as server:
        line = ["python", "-m", "ray_jobs.collect", "--accounts", "ada", "--out", str(tmp_path / "out")]
        line += ["--api-url", server.url, "--token-file", str(tmp_path / "token")]
        flags = ["--working-dir", ".", "--runtime-env", "runtime_env.yaml"]
        done = ray_job(cluster, "submit", *flags, "--", *line)
    assert done.returncode == 0, done.stdout
    assert ids(tmp_path / "out") == [*range(1, 121)]
    assert "at most 800 posts of 1 accounts and 1 users" in done.stdout
    assert TOKEN not in done.stdout
