import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import card, synthetic
from tweetelm.registry import (
    Card,
    current_version,
    publish,
    read_card,
)
from tweetelm.registry.__main__ import main


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["registry", *arguments])
    main()


def test_list_shows_every_version_and_marks_the_served_one(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_main(monkeypatch, "list", "--registry", registry)
    assert "nothing is published" in capsys.readouterr().out
    served = publish(source, card(0.7), registry=registry).version
    other = publish(another, synthetic(0.6), registry=registry).version
    run_main(monkeypatch, "list", "--registry", registry)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.search(
        rf"^\*  hate/{served} +macro_f1 +0\.7000 +0\.5000 +openelm-270m +0{{8}}", "\n".join(lines), re.M
    )
    assert re.search(rf"^   hate/{other} .*synthetic", "\n".join(lines), re.M)


def test_show_promote_and_rollback_from_the_command_line(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    best = publish(source, card(0.7), registry=registry).version
    worse = publish(another, card(0.6), registry=registry).version
    run_main(monkeypatch, "show", "hate", "--registry", registry)
    assert Card.from_json(capsys.readouterr().out) == read_card("hate", registry=registry, version=best)
    run_main(monkeypatch, "promote", "hate", worse, "--registry", registry)
    assert current_version("hate", registry=registry) == worse
    run_main(monkeypatch, "rollback", "hate", "--registry", registry)
    assert current_version("hate", registry=registry) == best


def test_a_mistake_on_the_command_line_is_one_line_and_a_failure(tmp_path: Path) -> None:
    source = Path(__file__).parent.parent / "src"
    result = subprocess.run(
        [sys.executable, "-m", "tweetelm.registry", "show", "hate", "--registry", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("nothing is published for hate")
    assert len(result.stderr.splitlines()) == 1
