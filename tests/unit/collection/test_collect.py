"""Collection from the API: what is read, kept and counted."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.collecting import collect, ids, manifest, rows
from tests.support.x_api import TOKEN, XServer, post
from tweetelm.files.hashing import sha256

QUOTE = {"referenced_tweets": [{"type": "quoted", "id": "1"}]}
REPLY = {"referenced_tweets": [{"type": "replied_to", "id": "1"}], "in_reply_to_user_id": "77777"}


def test_all_pages_of_all_accounts_are_collected(server: XServer, tmp_path: Path) -> None:
    assert collect(server, tmp_path, "@ada", "Bob") == 0
    assert ids(tmp_path) == [*range(1, 251), *range(1001, 1031)]
    assert len(server.times) == 1 + 3 + 1  # lookup, pages
    assert set(server.served.values()) == {1}
    assert rows(tmp_path)[0] == {
        "screen_name": "ada",
        "text": 'post 1; he said "no"\nand <left> https://t.co/x1',
        "account.type": "human",
        "class_type": "human",
        "id": str(10**18 + 1),
        "created_at": "2026-03-02T12:00:00Z",
        "lang": "en",
    }


def test_manifest_has_counts_terms_cost_and_hash(server: XServer, tmp_path: Path) -> None:
    server.timelines["bob"][:3] = [post(2001, **QUOTE), post(2002, "RT @x: y"), post(2003, **REPLY)]
    server.states["zoe"] = "suspended"
    collect(server, tmp_path, "bob", "zoe", "nobody")
    found = manifest(tmp_path)
    assert (found["kind"], found["rows"]) == ("collected", 27)
    assert found["sha256"] == sha256(tmp_path / "rows.csv")
    assert found["accounts"] == {
        "bob": {"state": "done", "read": 30, "kept": 27},
        "zoe": {"state": "suspended", "read": 0, "kept": 0},
        "nobody": {"state": "missing", "read": 0, "kept": 0},
    }
    assert found["left_out"] == {"quote": 1, "reply": 1, "retweet": 1}
    assert found["cost"]["dollars"] == pytest.approx(30 * 0.005 + 0.01)
    assert found["terms"]["date"] == "2025-06-04"
    assert found["window"]["newest"] == max(row["created_at"] for row in rows(tmp_path))


def test_replies_are_kept_by_choice(server: XServer, tmp_path: Path) -> None:
    server.timelines["bob"] = [post(1, **QUOTE), post(2, **REPLY), post(3)][::-1]
    collect(server, tmp_path / "without", "bob")
    collect(server, tmp_path / "with", "bob", replies=True)
    assert (ids(tmp_path / "without"), ids(tmp_path / "with")) == ([3], [2, 3])
    assert "exclude=retweets%2Creplies&" in f"{server.paths[1]}&"
    assert "exclude=retweets&" in f"{server.paths[3]}&"


def test_nothing_else_personal_is_written(server: XServer, tmp_path: Path) -> None:
    server.timelines["ada"][5]["geo"] = {"place_id": "secretplace"}
    server.timelines["ada"][6].update(QUOTE, text="quotedtext")
    collect(server, tmp_path, "ada")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    text = "\n".join(path.read_text() for path in files)
    assert len(files) > 5
    for private in ("secretplace", "77777", "Real Name", "quotedtext", TOKEN, '"500"'):
        assert private not in text, private


def test_complete_collection_is_not_read_again(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    requests = len(server.times)
    assert collect(server, tmp_path, "ada") == 0
    assert len(server.times) == requests
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == files


def test_expired_token_keeps_pages_and_resumes(server: XServer, tmp_path: Path) -> None:
    server.token_uses = 3
    with pytest.raises(ValueError, match=r"refused the bearer token \(401\).*X_BEARER_TOKEN.*is kept"):
        collect(server, tmp_path, "ada")
    assert not (tmp_path / "rows.csv").exists()
    server.token_uses = 10**9
    collect(server, tmp_path, "ada")
    assert ids(tmp_path) == [*range(1, 251)]
    assert set(server.served.values()) == {1}


def test_expired_pagination_token_goes_on_by_id(
    server: XServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.token_uses = 3
    with pytest.raises(ValueError, match="401"):
        collect(server, tmp_path, "ada")
    server.token_uses = 10**9
    server.expire_pagination()
    collect(server, tmp_path, "ada")
    assert "pagination token expired" in capsys.readouterr().out
    assert ids(tmp_path) == [*range(1, 251)]
    assert set(server.served.values()) == {1}


@pytest.mark.parametrize(("cap", "read"), [(5, 5), (9, 9), (104, 104), (103, 103), (230, 230)])
def test_cap_is_met_exactly(server: XServer, tmp_path: Path, cap: int, read: int) -> None:
    collect(server, tmp_path, "ada", cap=cap)
    assert server.posts_served == len(ids(tmp_path)) == read
    assert manifest(tmp_path)["accounts"]["ada"]["state"] == "partial"


def test_higher_cap_continues(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada", "bob", cap=120)
    shares = {name: each["read"] for name, each in manifest(tmp_path)["accounts"].items()}
    assert shares == {"ada": 100, "bob": 20}  # page by page in turn
    collect(server, tmp_path, "ada", "bob", cap=1000)
    assert ids(tmp_path) == [*range(1, 251), *range(1001, 1031)]
    assert set(server.served.values()) == {1}


def test_dollars_are_a_ceiling(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada", max_dollars=0.51)
    assert manifest(tmp_path)["cost"]["dollars"] == 0.51
    assert (server.posts_served, server.users_served) == (100, 1)


def test_too_few_dollars_read_nothing(server: XServer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no tweet was kept"):
        collect(server, tmp_path, "ada", max_dollars=0.005)
    assert server.times == []


def test_max_posts_is_per_account(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada", "bob", max_posts=102)
    accounts = manifest(tmp_path)["accounts"]
    assert {name: each["read"] for name, each in accounts.items()} == {"ada": 102, "bob": 30}
    assert {each["state"] for each in accounts.values()} == {"done"}


def test_window_is_asked_of_the_api(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada", since="2026-03-05", until="2026-03-08")
    assert {row["created_at"][:10] for row in rows(tmp_path)} == {"2026-03-05", "2026-03-06", "2026-03-07"}


def test_forbidden_account_does_not_stop_the_others(
    server: XServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.forbidden.add("bob")
    assert collect(server, tmp_path, "bob", "ada") == 0
    assert manifest(tmp_path)["accounts"]["bob"]["state"] == "forbidden"
    assert len(ids(tmp_path)) == 250
    assert "@bob cannot be read (403: you may not see this)" in capsys.readouterr().out


@pytest.mark.parametrize("fault", [503, "malformed", "cut", "empty"])
def test_failed_request_is_repeated(server: XServer, tmp_path: Path, fault: Any) -> None:
    server.faults = {2: fault}
    collect(server, tmp_path, "ada")
    assert ids(tmp_path) == [*range(1, 251)]
    lost = 0 if fault == 503 else 100
    assert manifest(tmp_path)["cost"]["lost_posts"] == lost
    assert manifest(tmp_path)["cost"]["posts"] == server.posts_served


def test_lost_answers_count_towards_the_cap(server: XServer, tmp_path: Path) -> None:
    server.faults = {1: "cut"}
    collect(server, tmp_path, "ada", cap=150)
    assert server.posts_served == 150
    assert len(ids(tmp_path)) == 50


def test_rate_limit_is_waited_for(
    server: XServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = {1: 429}
    collect(server, tmp_path, "ada")
    assert "limits the rate: waiting until" in capsys.readouterr().out
    assert ids(tmp_path) == [*range(1, 251)]


def test_used_up_window_is_not_exceeded(server: XServer, tmp_path: Path) -> None:
    server.limit = 2
    collect(server, tmp_path, "ada")
    assert server.statuses == {200: 4}  # never a 429


def test_requests_are_spaced_evenly(server: XServer, tmp_path: Path) -> None:
    collect(server, tmp_path, "ada", requests_per_15min=3000)
    assert min(after - before for before, after in pairwise(server.times)) >= 0.3


def test_next_command_waits_before_its_first_request(server: XServer, tmp_path: Path) -> None:
    server.token_uses = 2
    with pytest.raises(ValueError, match="401"):
        collect(server, tmp_path, "ada", requests_per_15min=1800)
    server.token_uses = 10**9
    collect(server, tmp_path, "ada", requests_per_15min=1800)
    assert min(after - before for before, after in pairwise(server.times)) >= 0.5
