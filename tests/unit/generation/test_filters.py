"""Which answers become rows."""

import random
from itertools import islice

import pytest

from tests.support.human_tweets import human_tweets
from tweetelm.generation.filters import Filters
from tweetelm.generation.plan import PlanSettings, requests
from tweetelm.generation.request import Answer, Request

TWEETS = human_tweets()
OTHERS = ["my sister lost her keys in the river last night and nobody helped"]


@pytest.fixture(scope="module")
def filters() -> Filters:
    return Filters(TWEETS.texts, OTHERS)


def topics(number: int) -> list[Request]:
    return list(islice(requests(PlanSettings(strategies=("topic",)), TWEETS), number))


def reason(filters: Filters, *texts: str | None) -> dict[str, int]:
    asked = topics(len(texts))
    answers = {each.id: Answer(id=each.id, text=text) for each, text in zip(asked, texts, strict=True)}
    return dict(filters.select(asked, answers).rejected)


GOOD = "we finally painted the whole fence blue and the dog is blue now too"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, {}),
        (None, {"malformed answer": 1}),
        ("painted it", {"too short": 1}),
        (GOOD + " and" * 30, {"too long": 1}),
        ("hoy por fin pintamos toda la valla de azul y el perro ahora es azul", {"other language": 1}),
        (TWEETS.texts[3], {"copy of a human tweet": 1}),
        (f"RT @user {TWEETS.texts[3].upper()}!!", {"copy of a human tweet": 1}),
        ("honestly my sister lost her keys in the river last night, again", {"copy of a human tweet": 1}),
        ("As an AI language model I can not paint any fence in any color", {"refusal": 1}),
    ],
)
def test_each_filter_rejects_what_it_names(
    filters: Filters, text: str | None, expected: dict[str, int]
) -> None:
    assert reason(filters, text) == expected


def test_repetitions_are_rejected(filters: Filters) -> None:
    assert reason(filters, GOOD, GOOD + "!", GOOD.replace("whole ", "")) == {"copy of a generated tweet": 2}


def test_outcome_does_not_depend_on_the_order_of_answers(filters: Filters) -> None:
    asked, chance = topics(30), random.Random(0)
    texts = [f"{GOOD} {i % 20} {i % 7 * 'really '}" for i in range(30)]
    answers = [Answer(id=each.id, text=text) for each, text in zip(asked, texts, strict=True)]
    first = filters.select(asked, {answer.id: answer for answer in answers}, rows=10)
    chance.shuffle(answers)
    assert filters.select(asked, {answer.id: answer for answer in answers}, rows=10) == first


def test_stops_at_the_wanted_rows(filters: Filters) -> None:
    asked = topics(3)
    texts = [
        GOOD,
        "the baker down the road sells bread shaped like whales on sundays",
        "one more tweet that says nothing about anything in particular at all",
    ]
    answers = {each.id: Answer(id=each.id, text=text) for each, text in zip(asked, texts, strict=True)}
    outcome = filters.select(asked, answers, rows=2)
    assert [row.text for row in outcome.rows] == texts[:2]
    assert outcome.answers == 2


def test_toxic_rows_are_counted_and_kept(filters: Filters) -> None:
    asked = topics(1)
    text = "what the fuck is wrong with the elevator in this building today"
    outcome = filters.select(asked, {asked[0].id: Answer(id=asked[0].id, text=text)})
    assert (len(outcome.rows), outcome.toxic) == (1, 1)
