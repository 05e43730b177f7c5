"""Requests of `push` to a local server in place of the hub. The hub's storage protocol (xet) is disabled."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fakes import card
from tests.support.hub_uploads import TOKEN, Repository, Uploads
from tests.support.places import ROOT
from tweetelm.registry import publish, read_card


@pytest.fixture
def hub() -> Iterator[Uploads]:
    hub = Uploads()
    yield hub
    hub.close()


def push(hub: Uploads, home: Path, *arguments: str, token: str = TOKEN) -> "subprocess.CompletedProcess[str]":
    """Run the command in a subprocess, because the hub client reads its settings at import."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": token}
    return subprocess.run(
        [sys.executable, "-m", "tweetelm.registry", "push", *arguments],
        env={**kept, **settings, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_push_makes_one_private_identical_commit(hub: Uploads, source: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "models")
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    (evaluation / "metrics.json").write_text("{}")
    version = publish(source, card(), registry=place, evaluation=evaluation).version
    folder = tmp_path / "models" / "hate" / "versions" / version
    (folder / "notes.txt").write_text("a tweet, word for word")
    hub.repositories["me/hate"] = Repository(
        private=True, files={"evaluation/old.json": b"", "LICENSE": b"x"}
    )
    result = push(hub, tmp_path, "hate", version, "me/hate", "--registry", place)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{hub.url}/me/hate/commit/1\n"
    sent = {*read_card("hate", registry=place).files, "card.json"}
    repository = hub.repositories["me/hate"]
    assert repository.commits == [f"hate {version}"]
    assert repository.files == {"LICENSE": b"x"} | {name: (folder / name).read_bytes() for name in sent}
    assert push(hub, tmp_path, "hate", version, "me/new", "--registry", place).returncode == 0
    assert hub.repositories["me/new"].private


def test_a_public_repository_is_written_only_when_that_is_meant(
    hub: Uploads, source: Path, tmp_path: Path
) -> None:
    place = str(tmp_path / "models")
    version = publish(source, card(), registry=place).version
    hub.repositories["me/hate"] = Repository(private=False)
    result = push(hub, tmp_path, "hate", version, "me/hate", "--registry", place)
    assert result.returncode == 1
    assert result.stderr.startswith("me/hate is public")
    assert hub.repositories["me/hate"].files == {}
    result = push(hub, tmp_path, "hate", version, "me/hate", "--public", "--registry", place)
    assert result.returncode == 0, result.stderr
    assert "model.safetensors" in hub.repositories["me/hate"].files


def test_a_refusal_of_the_hub_says_how_to_log_in(hub: Uploads, source: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "models")
    version = publish(source, card(), registry=place).version
    result = push(hub, tmp_path, "hate", version, "me/hate", "--registry", place, token="hf_wrong")
    assert result.returncode == 1
    assert "hf auth login" in result.stderr
    assert "Traceback" not in result.stderr
    assert hub.repositories == {}


def test_a_dry_run_says_what_it_would_upload_and_asks_nobody(
    hub: Uploads, source: Path, tmp_path: Path
) -> None:
    place = str(tmp_path / "models")
    version = publish(source, card(), registry=place).version
    result = push(hub, tmp_path, "hate", version, "me/hate", "--dry-run", "--registry", place, token="")
    assert result.returncode == 0, result.stderr
    files = {*read_card("hate", registry=place).files, "card.json"}
    lines = result.stdout.splitlines()
    assert {line.split()[1] for line in lines[:-2]} == files
    total = sum((tmp_path / "models" / "hate" / "versions" / version / name).stat().st_size for name in files)
    assert lines[-2].split() == [f"{total:,}", "bytes", "in", str(len(files)), "files"]
    assert f"{hub.url}/me/hate" in lines[-1]
    assert hub.repositories == {}
    wrong = push(hub, tmp_path, "hate", version, "a/b/c", "--dry-run", "--registry", place)
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    assert "expected owner/name" in wrong.stderr
