"""What all commands have in common: help that fits, errors in one line, pipes and plain terminals."""

import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import tyro

from ray_jobs import classify_files, collect, evaluate, generate, reproduce, seeds, train, tune, tweeteval
from ray_jobs.cli import USUAL
from ray_jobs.cluster import config_file, spot_watcher
from serve.__main__ import Options
from tests.support.places import ROOT
from tweetelm.cli import help_pages
from tweetelm.cli.command import flag_types
from tweetelm.registry.__main__ import push_, verify

COMMANDS = {
    "ray_jobs.train": train.Arguments,
    "ray_jobs.tune": tune.Arguments,
    "ray_jobs.seeds": seeds.Arguments,
    "ray_jobs.evaluate": evaluate.Arguments,
    "ray_jobs.classify_files": classify_files.Arguments,
    "ray_jobs.collect": collect.Arguments,
    "ray_jobs.generate": generate.Arguments,
    "ray_jobs.reproduce": reproduce.Arguments,
    "ray_jobs.tweeteval": tweeteval.Arguments,
    "ray_jobs.cluster.spot_watcher": spot_watcher.Arguments,
    "ray_jobs.cluster.config_file": config_file.Arguments,
    "serve": Options,
    "tweetelm.registry push": push_,
    "tweetelm.registry verify": verify,
}
TRAIN = ("ray_jobs.train", "--task", "hate", "--data.root", "sample", "--model.name", "scratch-1m")


def type_in(
    *words: str, cwd: Path = ROOT, limit: int | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """A module's command, as a person types it; `limit`: of open files."""
    line = [sys.executable, "-m", *words]
    if limit:
        line = ["bash", "-c", f'ulimit -n {limit}; exec "$@"', "bash", *line]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "TWEETELM_"))}
    path = f"{ROOT}:{ROOT / 'src'}"
    return subprocess.run(
        line,
        cwd=cwd,
        env=kept | {"PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def help_of(command: str, columns: int, monkeypatch: pytest.MonkeyPatch, everything: bool = False) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    return help_pages.page(COMMANDS[command], prog=command, everything=everything, usual=USUAL)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_the_terminal(command: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    page = help_of(command, columns, monkeypatch)
    lines = page.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) < 120
    assert all(re.match(r" {30}\S|  \S|\S|$", line) or line.startswith("       ") for line in lines)
    assert "\n\n\n" not in page


def test_train_help_is_short() -> None:
    done = type_in("ray_jobs.train", "--help", COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) < 100


@pytest.mark.parametrize("command", ["ray_jobs.train", "ray_jobs.tune", "serve"])
def test_help_has_every_flag(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        tyro.cli(COMMANDS[command], args=["--help"], registry=flag_types())  # tyro knows what it takes
    known = set(re.findall(r"--[a-z][a-z0-9.-]+", capsys.readouterr().out))
    flags = {flag for flag in known if not re.search(r"(--|\.)no-", flag)}
    assert len(flags) > 6
    for everything in (False, True):
        page = help_of(command, 80, monkeypatch, everything)
        assert flags - set(re.findall(r"--[a-z][a-z0-9.-]+", page)) == set()


def test_help_wraps_sentences_correctly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of help ends where the next word would not have fitted."""
    lines = help_of("ray_jobs.train", 80, monkeypatch, everything=True).splitlines()
    for line, after in pairwise(lines):
        if after.startswith(" " * 30) and line[29:30] == " ":
            assert len(line) + 1 + len(after.split()[0]) > 80, line


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("ray_jobs.train", "--task", "hate", "--optim.lrr", "1"),
        ("ray_jobs.cluster.config_file", "/nowhere.yaml"),
        ("ray_jobs.cluster.config_file", "/tmp"),
        ("ray_jobs.cluster.stop_workers", "/nowhere.yaml"),
        ("tweetelm.registry", "show", "hate", "--registry", "/nowhere"),
        ("tweetelm.registry", "frobnicate"),
        ("tweetelm.data", "check", "hate", "--root", "/nowhere"),
        ("tweetelm.data", "check", "hate", "--root", "sample", "--json", "Makefile/report.json"),
        ("serve", "--port", "99999"),
        ("serve", "--tasks", "horse"),
    ],
    ids=" ".join,
)
def test_errors_have_no_traceback(words: tuple[str, ...]) -> None:
    done = type_in(*words)
    assert done.returncode not in (0, -6)
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.strip()


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"a: [1,\n", b"\xff\xfe", b"x: 1\n", b""])
@pytest.mark.parametrize("command", ["cluster_file", "stop_workers"])
def test_damaged_cluster_file_is_an_error(command: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    done = type_in(f"ray_jobs.{command}", str(tmp_path / "c.yaml"))
    assert done.returncode == 2
    assert str(tmp_path / "c.yaml") in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [TRAIN, ("serve",)], ids=["train", "serve"])
def test_open_file_limit_is_checked_first(words: tuple[str, ...]) -> None:
    began = time.monotonic()
    done = type_in(*words, limit=64)
    assert done.returncode != 0
    assert "ulimit -n 4096" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_broken_pipe_is_not_an_error() -> None:
    line = f"{sys.executable} -m tweetelm.data check hate --root sample | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")


def test_ascii_terminal_gets_question_marks() -> None:
    done = type_in("ray_jobs.train", "--help", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "s3://?" in done.stdout


def run_script(script: str) -> "subprocess.CompletedProcess[str]":
    """A program of its own that imports the library from this checkout."""
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_ctrl_c_is_one_line() -> None:
    script = (
        "import os, signal; from tweetelm.cli import command\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & has it ignored
        "command.run(lambda: os.kill(os.getpid(), signal.SIGINT))"
    )
    done = run_script(script)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr.splitlines() == [
        "interrupted; run the same command again to resume from the last checkpoint"
    ]


def test_os_error_names_file_and_remedy() -> None:
    script = "from pathlib import Path; from tweetelm.cli import command\n"
    script += "command.run(lambda: Path('/nowhere/x').write_text('x'))"
    done = run_script(script)
    assert done.stderr == "error: /nowhere/x: No such file or directory; name one that exists\n"
    assert done.returncode == 2


def test_help_shows_defaults_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_of("ray_jobs.train", 120, monkeypatch, everything=True)
    option = text[text.index("--model.dropout") :]
    assert "[0.0]" in option[: option.index("--model.", 5)]
