"""Requests to the X API: retries, waits and their limits."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.x_api import TOKEN, XServer, post, x_server
from tweetelm.collection.folder import Folder
from tweetelm.collection.ledger import CeilingError, Ceilings, Ledger
from tweetelm.collection.timelines import page_size
from tweetelm.collection.x_api import TRIES, RefusedError, XApi

WIDE = Ceilings(posts=1000, dollars=None, per_post=0.005, per_user=0.01)
LOOKUP = ("/2/tweets", {"ids": str(10**18 + 1)})


@pytest.fixture
def server() -> Iterator[XServer]:
    with x_server(timelines={"ada": [post(1)]}) as served:
        yield served


def count(found: dict[str, Any]) -> dict[str, Any]:
    return {"posts_read": len(found["data"])}


def api(folder: Path, url: str, said: list[str], **flags: Any) -> XApi:
    ledger = Ledger(Folder(str(folder)), flags.pop("ceilings", WIDE))
    return XApi(TOKEN, ledger, url=url, say=said.append, per_window=900_000, backoff_s=0.001, **flags)


def test_failures_end_after_all_tries(server: XServer, tmp_path: Path) -> None:
    server.faults = dict.fromkeys(range(100), 503)
    said: list[str] = []
    with (
        api(tmp_path, server.url, said) as client,
        pytest.raises(ConnectionError, match=r"answered 503 \(a fault 503\), 6 times in a row.*kept"),
    ):
        client.get(*LOOKUP, count, answer="a.json", posts=1)
    assert len(server.times) == TRIES
    assert len(said) == TRIES - 1
    assert client.ledger.posts == 0


def test_server_that_is_away_is_named(tmp_path: Path) -> None:
    with x_server() as gone:
        url = gone.url
    with (
        api(tmp_path, url, []) as client,
        pytest.raises(ConnectionError, match=rf"cannot be reached at {url}"),
    ):
        client.get(*LOOKUP, count, answer="a.json", posts=1)
    assert client.ledger.posts == 0


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (400, RefusedError, r"refused the request \(400: a fault 400\)"),
        (401, ValueError, r"refused the bearer token \(401\)"),
        (402, ValueError, r"asks for credits \(402"),
        (302, RefusedError, r"302"),
    ],
)
def test_refusal_is_not_repeated(
    server: XServer, tmp_path: Path, status: int, error: type[Exception], message: str
) -> None:
    server.faults = {0: status}
    with api(tmp_path, server.url, []) as client, pytest.raises(error, match=message):
        client.get(*LOOKUP, count, answer="a.json", posts=1)
    assert len(server.times) == 1
    assert Ledger(Folder(str(tmp_path)), WIDE).posts == 0


def test_answer_is_stored_and_its_reads_are_counted(server: XServer, tmp_path: Path) -> None:
    with api(tmp_path, server.url, []) as client:
        assert client.get(*LOOKUP, count, answer="a.json", posts=50) == {"posts_read": 1}
    assert Ledger(Folder(str(tmp_path)), WIDE).posts == 1


def test_reservation_of_a_killed_command_counts_in_full(tmp_path: Path) -> None:
    ledger = Ledger(Folder(str(tmp_path)), WIDE)
    ledger.reserve("a.json", posts=50, users=2)
    after = Ledger(Folder(str(tmp_path)), WIDE)  # as if the process was killed
    assert (after.posts, after.counts["lost_posts"], after.counts["lost_users"]) == (50, 50, 2)


def test_reservation_is_refused_over_the_ceilings(tmp_path: Path) -> None:
    ledger = Ledger(Folder(str(tmp_path)), Ceilings(posts=100, dollars=0.3, per_post=0.005, per_user=0.01))
    assert ledger.room() == 60
    ledger.reserve("a.json", posts=60, users=0)
    with pytest.raises(CeilingError):
        Ledger(Folder(str(tmp_path)), ledger.ceilings).reserve("b.json", posts=1, users=0)


@pytest.mark.parametrize("cents", range(1, 60, 7))
def test_room_never_costs_more_than_allowed(cents: int) -> None:
    ceilings = Ceilings(posts=10**6, dollars=cents / 100, per_post=0.003, per_user=0.01)
    room = ceilings.room(0, 0)
    assert ceilings.allowed(room, 0)
    assert not ceilings.allowed(room + 1, 0)


def test_wait_for_the_window_outlives_the_command(server: XServer, tmp_path: Path) -> None:
    server.limit, server.window_s = 1, 3.0
    with api(tmp_path, server.url, []) as client:
        client.get(*LOOKUP, count, answer="a.json", posts=1)
    said: list[str] = []
    begun = time.time()
    with api(tmp_path, server.url, said) as client:
        client.get(*LOOKUP, count, answer="b.json", posts=1)
    assert server.statuses == {200: 2}
    assert "waiting until" in said[0]
    assert time.time() - begun > 1


@pytest.mark.parametrize("wanted", [*range(0, 12), *range(95, 112), 199, 200, 201, 204, 205, 3200])
def test_pages_add_up_to_what_is_wanted(wanted: int) -> None:
    left, sizes = wanted, []
    while size := page_size(left, 10**6):
        sizes.append(size)
        left -= size
    assert all(5 <= size <= 100 for size in sizes)
    assert left == (wanted if wanted < 5 else 0)
    assert len(sizes) <= -(-wanted // 100)
