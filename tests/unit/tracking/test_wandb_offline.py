"""Offline mode opens no connection: all addresses of a run point to a listener that counts connections."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

RUN = """
import os, sys, time
from pathlib import Path
from tweetelm.config.train_config import TrainConfig
from tweetelm.tracking.trackers import open_trackers
from tweetelm.tracking.wandb_settings import has_api_key

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
config, given = TrainConfig(task="hate", name="quiet"), os.environ
tracker = open_trackers(config, folder, 0, api_key_present=has_api_key(given), environ=given)
end, step = time.monotonic() + seconds, 0
while time.monotonic() < end:
    step += 1
    tracker.log({"loss": 1 / step}, step)
    time.sleep(0.05)
tracker.finish({"best": 1})
"""


class Listener:
    """Counts and closes connections."""

    def __init__(self) -> None:
        self.count = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            connection.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.socket.shutdown(socket.SHUT_RDWR)
    found.socket.close()


def track(listener: Listener, folder: Path, seconds: float, **variables: str) -> tuple[str, list[str]]:
    """Run with the listener as server and proxy; returns standard error and the folders made by wandb."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), listener.url)
    proxies |= {name.lower(): url for name, url in proxies.items()}
    environment = kept | proxies | {"NO_PROXY": "", "no_proxy": "", "HOME": str(folder)}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "WANDB_BASE_URL": listener.url, **variables}
    command = [sys.executable, "-c", RUN, str(folder / "run"), str(seconds)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr, sorted(path.name for path in (folder / "run").glob("wandb/*run-*"))


KEY = {"WANDB_API_KEY": "k" * 40}


@pytest.mark.parametrize(
    "variables",
    [{}, {"WANDB_API_KEY": ""}, {**KEY, "WANDB_MODE": "offline"}, {**KEY, "WANDB_MODE": "dryrun"}],
    ids=["no key", "empty key", "offline", "dryrun"],
)
@pytest.mark.slow
def test_an_offline_run_contacts_nobody(
    variables: dict[str, str], listener: Listener, tmp_path: Path
) -> None:
    _, folders = track(listener, tmp_path, 2, **variables)
    assert len(folders) == 1
    assert folders[0].startswith("offline-run-")
    assert listener.count == 0


@pytest.mark.slow
def test_an_offline_run_of_over_a_minute_contacts_nobody(listener: Listener, tmp_path: Path) -> None:
    track(listener, tmp_path, 65, **KEY, WANDB_MODE="offline")
    assert listener.count == 0


@pytest.mark.parametrize("variables", [{"WANDB_MODE": "disabled"}, {"WANDB_DISABLED": "true"}])
def test_a_disabled_run_writes_and_contacts_nothing(
    variables: dict[str, str], listener: Listener, tmp_path: Path
) -> None:
    assert track(listener, tmp_path, 0.2, **KEY, **variables) == ("", [])
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["history.jsonl"]
    assert listener.count == 0


@pytest.mark.slow
def test_a_wrong_key_or_server_is_one_line_and_the_run_goes_on(listener: Listener, tmp_path: Path) -> None:
    """Online, the listener closes each connection."""
    error, _ = track(listener, tmp_path, 1, WANDB_API_KEY="wrong", WANDB_INIT_TIMEOUT="5")
    assert "Traceback" not in error
    assert error.count("training continues") == 1
    assert (tmp_path / "run" / "history.jsonl").read_text().count("loss") > 5
