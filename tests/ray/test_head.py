"""The Ray head shared by the tests of this folder."""

import os
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest

from tests.support.places import ROOT
from tests.support.ray_head import Cluster, fetch, wait_for
from tests.support.ray_reaper import MARKER, members

OWNER = """
    import os, subprocess, sys
    from pathlib import Path
    from tests.support.ray_reaper import MARKER, reaped
    mark, folder = sys.argv[1:]
    with reaped(mark, Path(folder)):
        env = {**os.environ, MARKER: mark}
        subprocess.Popen(["sleep", "600"], env=env, start_new_session=True)
        print("started", flush=True)
        sys.stdin.read()
"""


def test_killed_test_run_leaves_no_process(tmp_path: Path) -> None:
    mark, folder = uuid.uuid4().hex, tmp_path / "cluster"
    folder.mkdir()
    line = [sys.executable, "-c", textwrap.dedent(OWNER), mark, str(folder)]
    with subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == "started\n"
        # A new process has no environment for a moment.
        wait_for("it runs", lambda: [process.name() for process in members(mark)] == ["sleep"], seconds=60)
        owner.kill()
    wait_for("the killed run's processes are gone", lambda: members(mark) == [], seconds=60)
    wait_for("its folder is gone", lambda: not folder.exists(), seconds=60)


@pytest.mark.ray
@pytest.mark.slow
def test_head_processes_can_be_stopped(cluster: Cluster) -> None:
    ours = {process.pid for process in members(cluster.env[MARKER])}
    using = {
        p.pid
        for p in psutil.process_iter(["cmdline"])
        if str(cluster.logs) in " ".join(p.info["cmdline"] or [])
    }
    assert using
    assert using <= ours


@pytest.mark.ray
@pytest.mark.slow
def test_dashboard_requires_the_token(cluster: Cluster) -> None:
    assert "ray_version" in cluster.get("/api/version")
    with pytest.raises(HTTPError, match=r"HTTP Error 40[13]"):
        fetch(cluster.dashboard + "/api/version", "wrong" * 8)


@pytest.mark.ray
@pytest.mark.slow
def test_workers_import_the_checkout(driver: Cluster) -> None:
    import ray

    @ray.remote
    def where() -> tuple[str, str]:
        import tweetelm.tasks

        return tweetelm.tasks.__file__, os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"]

    expected = ROOT / "src" / "tweetelm" / "tasks" / "__init__.py"
    assert ray.get(where.remote(), timeout=120) == (str(expected), "0.1")
