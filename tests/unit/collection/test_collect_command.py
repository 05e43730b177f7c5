"""The command line of `python -m ray_jobs.collect`."""

import json
from pathlib import Path
from typing import Any

import pytest

from ray_jobs.collect import Arguments, run
from ray_jobs.locks.run_lock import locked_folder
from tests.support.collecting import ENVIRONMENT, collect, manifest
from tests.support.x_api import TOKEN, XServer


def test_other_settings_are_refused_with_the_difference(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    with pytest.raises(ValueError, match=r"(?s)accounts: \['ada'\] -> \['bob'\].*replies: False -> True"):
        collect(server, tmp_path, "bob", replies=True)


def test_second_command_on_the_folder_is_refused(server: XServer, tmp_path: Path) -> None:
    with (
        locked_folder(str(tmp_path), "the collection"),
        pytest.raises(ValueError, match=r"in use by.*--out"),
    ):
        collect(server, tmp_path, "ada")
    assert server.times == []


def test_plan_prints_the_estimate_alone(
    server: XServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"max_posts": 250, "requests_per_15min": 900}
    arguments = Arguments(out=str(tmp_path / "new"), accounts=("ada", "bob"), plan=True, **flags)
    assert run(arguments, {}) == 0
    expected = (
        "at most 500 posts of 2 accounts and 2 users: 7 requests, $2.52, 0.1 minutes (cap 10,000 posts)"
    )
    assert capsys.readouterr().out == f"{expected}\n"
    assert not (tmp_path / "new").exists()
    assert server.times == []


def test_estimate_is_an_upper_bound(
    server: XServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(server, tmp_path, "ada", "bob", max_posts=240)
    assert "at most 480 posts of 2 accounts and 2 users: 7 requests, $2.42" in capsys.readouterr().out
    assert (server.posts_served, server.users_served, len(server.times)) == (270, 2, 5)


def test_missing_token_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no bearer token of X; type `export X_BEARER_TOKEN=…`"):
        run(Arguments(out=str(tmp_path / "new"), accounts=("ada",)), {})
    assert not (tmp_path / "new").exists()


def test_token_file_wins(server: XServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    flags = {"token_file": str(tmp_path / "token"), "requests_per_15min": 90_000}
    arguments = Arguments(out=str(tmp_path / "out"), accounts=("bob",), api_url=server.url, **flags)
    assert run(arguments, {"X_BEARER_TOKEN": "other"}) == 0


def test_accounts_file_has_a_name_per_line(server: XServer, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("# two\n@ada\n\nADA\nbob\n")
    collect(server, tmp_path / "out", accounts_file=str(tmp_path / "names"))
    assert list(manifest(tmp_path / "out")["accounts"]) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"accounts": ()}, "no account was named"),
        ({"accounts": ("a b",)}, "'a b' is no screen name"),
        ({"accounts": ("../x",)}, "is no screen name"),
        ({"cap": 4}, "--cap is 4; expected at least 5"),
        ({"max_dollars": float("nan")}, "--max-dollars is nan"),
        ({"since": "soon"}, "--since is 'soon'; expected a date"),
        ({"since": "2026-03-02", "until": "2026-03-01"}, "expected an earlier --since"),
        ({"api_url": "http://api.example.org"}, "expected https"),
        ({"api_url": "api.x.com"}, "expected https"),
    ],
)
def test_invalid_flags_are_refused(tmp_path: Path, flags: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(Arguments(**{"out": str(tmp_path / "new"), "accounts": ("ada",), **flags}), ENVIRONMENT)
    assert not (tmp_path / "new").exists()


def test_ids_only_writes_the_ids(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "bob")
    assert run(Arguments(out=str(tmp_path), ids_only=str(tmp_path / "ids")), {}) == 0
    assert (tmp_path / "ids").read_text() == "".join(f"{10**18 + n}\n" for n in range(1001, 1031))


def test_pages_have_only_the_kept_columns(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "bob")
    page = json.loads((tmp_path / "pages" / "bob" / "0.json").read_text())
    assert {tuple(each) for each in page["posts"]} == {("id", "created_at", "lang", "screen_name", "text")}
