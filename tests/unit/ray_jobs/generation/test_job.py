"""Waves of requests, until there are enough rows."""

import random
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from ray_jobs.generation.arguments import Arguments
from ray_jobs.generation.job import Ask, Job, chunks, generate
from tests.support.human_tweets import human_tweets
from tweetelm.generation.filters import Filters
from tweetelm.generation.journal import JournalWriter
from tweetelm.generation.plan import PlanSettings
from tweetelm.generation.request import Answer, Request

_TEXT = """
we they painted the old fence and then found a small green boat near our house while rain
fell on every quiet street of this town where people sell bread soup books lamps shoes or
warm coats before winter comes
"""
WORDS = _TEXT.split()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    tweets = human_tweets()
    return Job(
        folder=tmp_path,
        settings=PlanSettings(),
        rows=40,
        most=200,
        tweets=tweets,
        filters=Filters(tweets.texts, []),
    )


def answering(job: Job, usable: int, waves: list[int], why: str = "", first: int = 0) -> Ask:
    """Answers every request. Every `usable`-th answer from number `first` is usable; no two are alike."""
    numbers = count()

    def ask(missing: Sequence[Request]) -> str:
        waves.append(len(missing))
        with JournalWriter(job.journal) as writer:
            for number, request in enumerate(missing):
                words = random.Random(next(numbers)).sample(WORDS, 10)
                text = " ".join(words) if number % usable == first else "no"
                writer.answered([Answer(id=request.id, text=text)])
        return why

    return ask


def test_asks_more_until_there_are_enough_rows(job: Job) -> None:
    waves: list[int] = []
    outcome, answers, why = generate(job, answering(job, 2, waves))
    assert (len(outcome.rows), why) == (40, "")
    assert len(waves) > 1
    assert sum(waves) == len(answers) <= job.most


def test_a_finished_generation_asks_nothing(job: Job) -> None:
    first = generate(job, answering(job, 1, []))
    waves: list[int] = []
    assert generate(job, answering(job, 1, waves))[0] == first[0]
    assert waves == []


def test_ends_at_the_ceiling(job: Job) -> None:
    waves: list[int] = []
    outcome, _, why = generate(job, answering(job, 10, waves))
    assert (sum(waves), why) == (200, "--max-requests 200 is reached")
    assert 0 < len(outcome.rows) < 40


def test_a_useless_generator_ends_the_job(job: Job) -> None:
    _, _, why = generate(job, answering(job, 1000, [], first=999))
    assert why == "only 0 of 50 answers are usable; choose another --model"


def test_the_reason_to_stop_is_passed_on(job: Job) -> None:
    waves: list[int] = []
    assert generate(job, answering(job, 3, waves, "--max-dollars 1 would be exceeded"))[2].startswith(
        "--max-d"
    )
    assert len(waves) == 1


def test_chunks_have_prompts_of_like_lengths(job: Job) -> None:
    found = chunks(job.first(30), 8)
    lengths = [len(request.user) for chunk in found for request in chunk]
    assert lengths == sorted(lengths)
    assert [len(chunk) for chunk in found] == [8, 8, 8, 6]


def test_flags_have_the_defaults_of_the_plan() -> None:
    """The flags repeat them, because importing the plan takes a second at --help."""
    flags, plan = Arguments(out="part"), PlanSettings()
    assert (flags.strategies, flags.temperatures, flags.seed) == (
        plan.strategies,
        plan.temperatures,
        plan.seed,
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"temperatures": (float("nan"),)}, r"--temperatures is \(nan,\); expected numbers above 0"),
        ({"max_total_tokens": -5}, "--max-total-tokens is -5; expected more than 0"),
        ({"max_dollars": -2.0, "price_in": 1.0}, "--max-dollars is -2.0; expected more than 0"),
        ({"price_in": -1.0}, "--price-in is -1.0; expected dollars"),
        ({"endpoint": "localhost:8000/v1"}, "--endpoint is localhost:8000/v1; expected a URL such as http"),
        ({"out": __file__}, r"--out is .*test_job\.py, a file; expected a folder"),
    ],
)
def test_impossible_flags_are_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arguments(**{"out": "part", **flags})  # type: ignore[arg-type]
