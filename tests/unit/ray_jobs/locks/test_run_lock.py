"""The run lock, on local and on object storage."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ray_jobs.locks import lock_owner, run_lock
from ray_jobs.locks.lock_owner import Owner, this_process
from ray_jobs.locks.run_lock import LOCK_FILE, BusyError, locked_folder
from ray_jobs.run_dir import hold
from tests.support.run_commands import BUSY, FINISHED, OTHER, ROOT, Answer, commands, configuration
from tweetelm.files import object_storage

HOLDER = """
import sys, time
from ray_jobs.locks.run_lock import locked_folder

with locked_folder(sys.argv[1], "run 'mine'"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["folder", "objects"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder or URL."""
    return str(tmp_path / "place") if request.param == "folder" else request.getfixturevalue("remote")


def holder(place: str, code: str = HOLDER) -> "subprocess.Popen[str]":
    """Start another process that holds the lock of a folder."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    process = subprocess.Popen(
        [sys.executable, "-c", code, place],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def owner_file(place: str) -> str:
    return f"{place}/{LOCK_FILE}"


def write_owner(place: str, owner: Owner) -> None:
    object_storage.write(owner_file(place), json.dumps(owner.document()).encode())


def elsewhere(silent_s: float) -> Owner:
    """Return an owner on another machine whose last heartbeat is `silent_s` seconds ago."""
    now = time.time()
    mine = this_process("", {})
    return dataclasses.replace(mine, host="far", machine="another", since=now - 900, renewed=now - silent_s)


def test_second_command_error_names_owner_and_advice(place: str) -> None:
    with holder(place) as process:
        try:
            began = time.monotonic()
            with pytest.raises(BusyError) as raised, locked_folder(place, "run 'mine'"):
                pass
            assert time.monotonic() - began < 5
            assert f"process {process.pid} on {os.uname().nodename} since 20" in str(raised.value)
            assert f"stop it with `kill {process.pid}`" in str(raised.value)
            assert "\n" not in str(raised.value)
        finally:
            process.kill()


def test_lock_of_a_killed_command_is_taken_over(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with holder(place) as process:
        process.send_signal(signal.SIGKILL)
    with locked_folder(place, "run 'mine'"):
        assert f"its process {process.pid} has exited: taking over its lock" in capsys.readouterr().out


def test_zombie_holds_no_lock(place: str) -> None:
    process = holder(place)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has exited and is not reaped
    with locked_folder(place, "run 'mine'"):
        pass
    process.communicate()


def test_reused_pid_is_another_owner(place: str) -> None:
    write_owner(place, dataclasses.replace(this_process("", {}), started=1.0))
    with locked_folder(place, "run 'mine'"):
        pass


def test_released_lock_leaves_nothing(place: str) -> None:
    for _ in range(2):
        with locked_folder(place, "run 'mine'"):
            pass
    left = {name: object_storage.read(f"{place}/{name}") for name in object_storage.listed(place)}
    assert left in ({}, {LOCK_FILE: b""})


def test_recent_heartbeat_keeps_the_lock(place: str) -> None:
    write_owner(place, elsewhere(lock_owner.LAPSE_S - 20))
    with pytest.raises(BusyError, match=r"on far since .* expires 120 s after the last heartbeat, 100"):
        locked_folder(place, "run 'mine'").__enter__()


def test_expired_heartbeat_loses_the_lock(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lock_owner, "RENEW_S", 0.01)
    write_owner(place, elsewhere(lock_owner.LAPSE_S + 5))
    with locked_folder(place, "run 'mine'"):
        assert "sent no heartbeat for 125 s: taking over its lock" in capsys.readouterr().out


def test_wrong_clock_does_not_steal_a_lock(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_owner, "RENEW_S", 0.01)
    write_owner(place, elsewhere(lock_owner.LAPSE_S + 5))  # by this machine's clock, which is ahead

    def renewed(_seconds: float) -> None:
        write_owner(place, elsewhere(0))

    monkeypatch.setattr(run_lock.time, "sleep", renewed)
    with pytest.raises(BusyError, match="on far"):
        locked_folder(place, "run 'mine'").__enter__()


def test_owner_sends_heartbeats(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_owner, "RENEW_S", 0.02)
    with locked_folder(place, "run 'mine'"):
        seen, end = set(), time.monotonic() + 10
        while len(seen) < 3 and time.monotonic() < end:
            with contextlib.suppress(ValueError):  # moto lets a reader see half of a write; S3 does not
                seen.add(json.loads(object_storage.read(owner_file(place)) or b"{}")["renewed"])
        assert len(seen) == 3


def test_replaced_owner_exits(place: str) -> None:
    code = f"from ray_jobs.locks import lock_owner\nlock_owner.RENEW_S = 0.1\n{HOLDER}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    line = [sys.executable, "-c", code, place]
    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as old:
        assert old.stdout is not None
        assert old.stdout.readline() == "held\n"
        write_owner(place, elsewhere(0))
        assert "another command took over" in old.communicate(timeout=30)[1]
    assert old.returncode == 3


def test_damaged_owner_file_is_an_error(place: str) -> None:
    for damaged in (b"{", b"[]", b'{"token": 1}', b"\xff"):
        object_storage.write(owner_file(place), damaged)
        with pytest.raises(ValueError, match=r"owner\.json is damaged .* rm "):
            locked_folder(place, "run 'mine'").__enter__()


def test_trial_lock_is_taken_over_within_its_search(place: str) -> None:
    stale = dataclasses.replace(elsewhere(0), under="search-a")
    write_owner(place, stale)
    with pytest.raises(BusyError):
        locked_folder(place, "run 'trial'", under="search-b").__enter__()
    with locked_folder(place, "run 'trial'", under="search-a"):
        pass


def test_owner_file_cannot_inject_escape_sequences(place: str) -> None:
    write_owner(place, dataclasses.replace(elsewhere(0), command="\x1b[2J\nforged", host="\x9b1m"))
    with pytest.raises(BusyError) as raised:
        locked_folder(place, "run 'mine'").__enter__()
    assert "\x1b" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "\x9b" not in str(raised.value)


def test_rejected_command_claims_no_name(tmp_path: Path) -> None:
    config = configuration(str(tmp_path), "mine", 1e-4)
    with hold(config):
        with pytest.raises(ValueError, match=BUSY), hold(config):
            pass
        other = configuration(str(tmp_path), "mine", 1e-3)
        with pytest.raises(ValueError, match=OTHER), hold(other):
            pass
    assert not Path(config.folder).exists()


def outcomes(answers: list[Answer]) -> dict[str, int]:
    """Count the commands that trained and the messages of the others; KeyError for an unknown message."""
    counts = dict.fromkeys(("trained", BUSY, OTHER, FINISHED), 0)
    for answer in answers:
        words = [word for word in (BUSY, OTHER, FINISHED) if word in answer.said]
        counts["trained" if answer.trained and answer.status == 0 else words[0]] += 1
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8])
def test_one_of_many_concurrent_commands_trains(place: str, count: int) -> None:
    with commands(count) as running:
        for number in range(2):
            answers = running.run_together("train", [(place, f"same{number}", 1e-4)] * count)
            found = outcomes(answers)
            assert found["trained"] == 1, answers
            assert found[OTHER] == 0, answers
            rounds = [(place, f"other{number}", (each + 1) * 1e-4) for each in range(count)]
            answers = running.run_together("train", rounds)
            found = outcomes(answers)
            assert (found["trained"], found[OTHER]) == (1, count - 1), answers


@pytest.mark.slow
def test_one_of_many_configurations_gets_the_name(place: str) -> None:
    with commands(4) as running:
        for number in range(2):
            rounds = [(place, f"name{number}", (each + 1) * 1e-4) for each in range(4)]
            answers = running.run_together("claim", rounds)
            assert sorted(answer.status for answer in answers) == [0, 2, 2, 2], answers
            assert all(OTHER in answer.said for answer in answers if answer.status), answers
