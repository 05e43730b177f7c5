"""The console command `tweetelm`: its commands are the modules, and it imports nothing heavy first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tweetelm.cli.dispatch import COMMANDS

TWEETELM = Path(sys.executable).with_name("tweetelm")
SEES = "import sys; from tweetelm.cli import dispatch; sys.argv[1:] = ['--help']; dispatch.main(); "
SEES += "print(sorted({'torch', 'ray', 'transformers', 'numpy'} & sys.modules.keys()))"


def typed(*words: str, where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The command as a user types it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(TWEETELM), *words], cwd=where, env=environment, capture_output=True, text=True, timeout=120
    )


def test_help_lists_all_commands() -> None:
    page = typed("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in page] == []


def test_help_imports_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", SEES], capture_output=True, text=True, cwd=ROOT / "src")
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_runs_from_any_folder(name: str, tmp_path: Path) -> None:
    done = typed(name, "--help", where=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: tweetelm {name}")


def test_unknown_command_is_a_one_line_error() -> None:
    done = typed("tarin")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no command 'tarin'; expected train, tune")
    assert len(done.stderr.splitlines()) == 1
