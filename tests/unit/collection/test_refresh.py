"""`--refresh` removes what authors deleted or protected, from everything that is kept."""

import json
from pathlib import Path

import pytest

from tests.support.collecting import collect, ids, manifest
from tests.support.x_api import XServer
from tweetelm.collection import refresh as refreshing

DELETED, PROTECTED = str(10**18 + 7), str(10**18 + 200)


def texts(out: Path) -> str:
    return "\n".join(path.read_text() for path in out.rglob("*") if path.is_file())


def test_deleted_and_protected_posts_are_removed(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    server.gone = {DELETED: "missing", PROTECTED: "protected"}
    assert collect(server, tmp_path, refresh=True) == 0
    assert ids(tmp_path) == [n for n in range(1, 251) if n not in (7, 200)]
    found = manifest(tmp_path)
    assert found["rows"] == 248
    assert found["refreshed"][0]["removed"] == {"deleted": 1, "protected": 1}
    assert found["cost"]["posts"] == 250 + 248
    for gone in (DELETED, PROTECTED, "post 7;", "post 200;"):
        assert gone not in texts(tmp_path), gone
    assert not list((tmp_path / "refresh").glob("*"))


def test_collection_after_a_refresh_restores_nothing(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    server.gone = {DELETED: "missing"}
    collect(server, tmp_path, refresh=True)
    collect(server, tmp_path, "ada")
    assert len(ids(tmp_path)) == 249


def test_interrupted_refresh_asks_no_post_twice(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    server.served.clear()
    server.gone = {DELETED: "missing"}
    server.token_uses = len(server.times) + 2
    with pytest.raises(ValueError, match="401"):
        collect(server, tmp_path, refresh=True)
    server.token_uses = 10**9
    collect(server, tmp_path, refresh=True)
    assert set(server.served.values()) == {1}
    assert len(ids(tmp_path)) == server.posts_served == 249


def test_refresh_killed_before_its_end_counts_once(
    server: XServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(server, tmp_path, "ada")
    server.gone = {DELETED: "missing"}

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ray_jobs.collect.end", killed)
        with pytest.raises(KeyboardInterrupt):
            collect(server, tmp_path, refresh=True)
    requests = len(server.times)
    collect(server, tmp_path, refresh=True)
    assert len(server.times) == requests
    assert [each["removed"] for each in manifest(tmp_path)["refreshed"]] == [{"deleted": 1}]


def test_second_refresh_asks_again(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    collect(server, tmp_path, refresh=True)
    server.gone = {DELETED: "missing"}
    collect(server, tmp_path, refresh=True)
    assert [each["removed"] for each in manifest(tmp_path)["refreshed"]] == [{}, {"deleted": 1}]
    assert len(ids(tmp_path)) == 249


def test_unexplained_absence_removes_nothing(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    server.faults = {len(server.times): "empty"}
    collect(server, tmp_path, refresh=True)
    assert len(ids(tmp_path)) == 250


def test_low_cap_refuses_the_refresh_before_it_starts(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    requests = len(server.times)
    with pytest.raises(ValueError, match=r"asks for 250 posts.*type --cap 500"):
        collect(server, tmp_path, refresh=True, cap=300)
    assert len(server.times) == requests
    assert not (tmp_path / "refresh").exists()
    collect(server, tmp_path, refresh=True, cap=500)


def test_refresh_needs_a_collection(server: XServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no collection; name its folder with --out"):
        collect(server, tmp_path / "none", refresh=True)


def test_plan_of_a_refresh_counts_what_is_left(
    server: XServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(server, tmp_path, "ada")
    plan = {"ids": [str(10**18 + n) for n in range(1, 251)], "number": 0, "complete": False}
    (tmp_path / "refresh").mkdir()
    (tmp_path / refreshing.PLAN).write_text(json.dumps(plan))
    (tmp_path / "refresh" / "0.json").write_text(json.dumps({"posts_read": 100, "gone": {}}))
    capsys.readouterr()
    collect(server, tmp_path, refresh=True, plan=True)
    assert "at most 150 posts of 0 accounts" in capsys.readouterr().out
