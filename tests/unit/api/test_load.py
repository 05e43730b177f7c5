"""`tweetelm.load`: a task, a version, a folder, a URL, a hub id."""

from pathlib import Path

import pytest

import tweetelm
from tests.support.checkpoints import TWEETS, checkpoint
from tests.support.fakes import card
from tests.support.hub import Hub
from tests.support.hub_client import RefusedError, client
from tweetelm.files import object_storage
from tweetelm.registry import publish


@pytest.fixture
def published(tmp_path: Path) -> tuple[str, str]:
    """A registry and its current version of hate."""
    place = str(tmp_path / "models")
    return place, publish(checkpoint(tmp_path / "run"), card(temperature=2.0), registry=place).version


def test_a_task_is_its_current_version(published: tuple[str, str]) -> None:
    place, version = published
    model = tweetelm.load("hate", registry=place)
    assert (model.version, model.temperature) == (version, 2.0)
    assert model.predict("the cat").label in ("hate", "not-hate")


def test_a_version_is_named_in_three_ways(published: tuple[str, str]) -> None:
    place, version = published
    for model in (
        tweetelm.load(f"hate/{version}", registry=place),
        tweetelm.load("hate", registry=place, version=version),
        tweetelm.load(Path(place) / "hate" / "versions" / version),
    ):
        assert model.version == version


def test_an_absent_version_lists_the_versions(published: tuple[str, str]) -> None:
    place, version = published
    with pytest.raises(FileNotFoundError, match=f"no version '20200101-abc123' .*{version}"):
        tweetelm.load("hate/20200101-abc123", registry=place)
    with pytest.raises(ValueError, match="are two versions"):
        tweetelm.load(f"hate/{version}", registry=place, version="20200101-abc123")


def test_a_checkpoint_folder_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint(tmp_path / "some" / "run")
    checkpoint(tmp_path / "hate")
    monkeypatch.chdir(tmp_path)
    for name in ("some/run", "./some/run", str(tmp_path / "some/run"), tmp_path / "some" / "run", "hate"):
        assert tweetelm.load(name, device="cpu").task.name == "hate"


def test_a_published_task_precedes_a_folder_of_its_name(
    published: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, version = published
    checkpoint(tmp_path / "hate")
    monkeypatch.chdir(tmp_path)
    assert tweetelm.load("hate", registry=place).version == version
    assert tweetelm.load("./hate", registry=place).version == ""


def test_nothing_published_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no published version .*make demo"):
        tweetelm.load("hate", registry=str(tmp_path / "none"))
    with pytest.raises(
        FileNotFoundError, match=r"the folder .*/none does not exist; expected a folder, a URL"
    ):
        tweetelm.load(tmp_path / "none")
    with pytest.raises(ValueError, match="has no version 'v1'; omit version"):
        tweetelm.load(tmp_path, version="v1")


def test_a_url_is_downloaded(remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = checkpoint(tmp_path / "run")
    (folder / "optimizer.safetensors").write_bytes(b"moments")
    object_storage.send(folder, f"{remote}/run")
    here, there = tweetelm.load(folder, device="cpu"), tweetelm.load(f"{remote}/run/", device="cpu")
    assert there.predict(TWEETS) == here.predict(TWEETS)
    assert not list((tmp_path / "home").rglob("optimizer.safetensors"))


@pytest.mark.slow
def test_a_hub_id_is_downloaded_or_gives_one_clear_error(tmp_path: Path) -> None:
    folder, hub = checkpoint(tmp_path / "run"), Hub()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.commit("owner/name", files | {"pickled.bin": b"code"})
    with client(hub.url, tmp_path) as call:
        here = tweetelm.load(folder, device="cpu", precision="float32").predict("the cat")
        assert call("classify", "owner/name", "the cat") == pytest.approx(list(here.probabilities))
        assert not hub.asked("pickled.bin")
        with pytest.raises(RefusedError, match=r"cannot download owner/nome .*\n.*spelling of owner/nome"):
            call("classify", "owner/nome", "the cat")
    hub.close()
    with client(hub.url, tmp_path) as call:
        assert call("classify", "owner/name", "the cat")  # from the cache
        with pytest.raises(RefusedError) as caught:
            call("classify", "owner/other", "the cat")
        assert "`hf download owner/other --local-dir DIR` and use that folder" in str(caught.value)
        assert "--model" not in str(caught.value)
