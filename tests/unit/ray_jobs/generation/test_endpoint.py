"""Asking an endpoint: what is retried, what is recorded, what ends the job."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ray_jobs.generation.ask import spent
from ray_jobs.generation.endpoint import AskEndpoint, Endpoint
from ray_jobs.generation.spending import Ledger, Limits, Spent, announcement
from tests.support.chat_api import ChatApi, chat_api
from tests.support.human_tweets import human_tweets
from tweetelm.generation.journal import JournalWriter, read_journal
from tweetelm.generation.plan import PlanSettings, requests


class Handle:
    """The methods of a ledger, called as those of a Ray actor."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.ledger, name)

        class Remote:
            @staticmethod
            async def remote(*args: Any) -> Any:
                found = method(*args)
                return await found if hasattr(found, "__await__") else found

        return Remote


def ask(
    api: ChatApi, folder: Path, number: int, *, key: str = "", in_flight: int = 10, **limits: Any
) -> tuple[dict[str, Any], Ledger]:
    ledger = Ledger(Limits(**({"per_minute": 60_000, "requests": 10_000} | limits)), Spent())
    endpoint = Endpoint(url=api.url, model="m", key=key, new_tokens=20, timeout_s=5, in_flight=in_flight)
    actor = AskEndpoint(endpoint, Handle(ledger), folder)
    item = np.empty(1, dtype=object)
    item[0] = list(islice(requests(PlanSettings(), human_tweets()), number))
    return json.loads(actor({"item": item})["outcome"][0]), ledger


def test_all_requests_are_answered_and_recorded(tmp_path: Path) -> None:
    with chat_api(delay=0.2) as api:
        outcome, ledger = ask(api, tmp_path, 60, in_flight=20)
    answers, sent = read_journal(tmp_path)
    assert outcome == {"unanswered": 0, "stopped": "", "last_error": ""}
    assert (len(answers), sent, len(api.answered)) == (60, 60, 60)
    assert api.most == 20
    assert (ledger.spent.prompt, ledger.spent.completion) == (6000, 600)


def test_failures_are_asked_again(tmp_path: Path) -> None:
    with chat_api(fail=4) as api:
        outcome, _ = ask(api, tmp_path, 20)
    assert outcome["unanswered"] == 0
    assert len(api.answered) == len(set(api.answered)) == 20
    assert len(api.arrivals) > 20


def test_nonsense_costs_its_row_only(tmp_path: Path) -> None:
    with chat_api(nonsense=10) as api:
        outcome, _ = ask(api, tmp_path, 50)
    answers, _ = read_journal(tmp_path)
    assert outcome["unanswered"] == 0
    assert sum(answer.text is None for answer in answers.values()) == 5
    assert len(api.answered) == 50


def test_retry_after_pauses_all(tmp_path: Path) -> None:
    with chat_api(refuse=15) as api:
        outcome, _ = ask(api, tmp_path, 30, in_flight=1)
    assert outcome["unanswered"] == 0
    assert len(api.refusals) == 2
    for refused in api.refusals:
        assert not [moment for moment in api.arrivals if refused + 0.05 < moment < refused + 0.95]


def test_a_wrong_key_ends_the_job_with_advice(tmp_path: Path) -> None:
    with chat_api(key="right") as api:
        outcome, _ = ask(api, tmp_path, 30, key="wrong")
    assert outcome["error"].endswith(
        'wrong key"}}): set OPENAI_API_KEY, or name a file with the key: --api-key-file FILE'
    )
    assert len(api.arrivals) <= 10


def test_a_wrong_path_ends_the_job_with_advice(tmp_path: Path) -> None:
    with chat_api() as api:
        api.url = api.url.removesuffix("/v1")
        outcome, _ = ask(api, tmp_path, 3)
    assert (
        "answered 404 (404: Not Found): expected the base URL of an OpenAI-compatible API" in outcome["error"]
    )


@pytest.mark.parametrize(
    ("limits", "reason", "asked"),
    [
        ({"requests": 12}, "--max-requests 12 is reached", 12),
        ({"tokens": 1500}, "--max-total-tokens 1500 would be exceeded", 13),
        ({"dollars": 0.15, "price_in": 100.0}, "--max-dollars 0.15 would be exceeded", 15),
    ],
)
def test_ceilings_end_the_job(tmp_path: Path, limits: dict[str, Any], reason: str, asked: int) -> None:
    with chat_api() as api:
        outcome, ledger = ask(api, tmp_path, 40, in_flight=1, **limits)
    assert (outcome["stopped"], outcome["unanswered"]) == (reason, 40 - len(api.answered))
    assert abs(len(api.answered) - asked) <= 1
    assert ledger.spent.prompt + ledger.spent.completion <= limits.get("tokens", 10**9)


def test_the_rate_is_never_exceeded(tmp_path: Path) -> None:
    with chat_api() as api:
        ask(api, tmp_path, 40, in_flight=40, per_minute=1200)
    assert api.arrivals[-1] - api.arrivals[0] >= 39 / 20 * 0.95


def test_the_announcement_states_the_most_that_can_be_spent() -> None:
    limits = Limits(per_minute=60, requests=100, price_in=1.0, price_out=2.0)
    assert (
        announcement(limits, Spent(requests=20), 100, 50)
        == "at most 80 requests, 12,000 tokens, 0.02 dollars"
    )
    capped = Limits(per_minute=60, requests=100, price_in=1.0, dollars=0.001, tokens=5000)
    assert announcement(capped, Spent(), 100, 50) == "at most 100 requests, 5,000 tokens, 0.00 dollars"
    free = Limits(per_minute=60, requests=1)
    assert announcement(free, Spent(), 1, 1).endswith("no price is set (--price-in, --price-out)")


@pytest.mark.parametrize("status", [400, 402, 422])
def test_refusal_of_all_requests_ends_the_job(tmp_path: Path, status: int) -> None:
    with chat_api(status=status) as api:
        outcome, _ = ask(api, tmp_path, 6)
    assert f"answered {status}" in outcome["error"]
    assert "balance is empty" in outcome["error"]
    assert read_journal(tmp_path)[0] == {}  # asked again by the next command


def test_endpoint_that_is_down_costs_nothing(tmp_path: Path) -> None:
    with chat_api() as api:
        pass
    outcome, ledger = ask(api, tmp_path, 2, in_flight=1)
    assert f"cannot connect to {api.url}" in outcome["error"]
    assert "run the same command again" in outcome["error"]
    assert (ledger.spent.requests, ledger.spent.prompt, ledger.spent.completion) == (0, 0, 0)
    assert read_journal(tmp_path) == ({}, 0)


def test_tokens_that_nobody_counts_are_estimated(tmp_path: Path) -> None:
    with chat_api(usage=False, nonsense=5) as api:
        _, ledger = ask(api, tmp_path, 10)
    again = spent(tmp_path, 20, 50)
    assert (again.prompt, again.completion) == (ledger.spent.prompt, ledger.spent.completion)
    assert again.prompt > 10 * 20
    assert 10 * 5 < again.completion <= 10 * 20


def test_lost_prompts_count_before_the_first_answer(tmp_path: Path) -> None:
    with JournalWriter(tmp_path) as writer:
        writer.sent("a")
    assert spent(tmp_path, 20, 50) == Spent(requests=1, prompt=50, completion=20, answers=0)


def test_unpaired_surrogate_does_not_end_the_job(tmp_path: Path) -> None:
    with chat_api(text="rain \ud83d on the roof") as api:
        outcome, _ = ask(api, tmp_path, 3)
    assert outcome["unanswered"] == 0
    assert {answer.text for answer in read_journal(tmp_path)[0].values()} == {"rain ? on the roof"}
