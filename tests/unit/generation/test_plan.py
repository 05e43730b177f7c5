"""The requests of a generation follow from its settings."""

from itertools import islice

import pytest

from tests.support.human_tweets import human_tweets
from tweetelm.generation.plan import PlanSettings, requests
from tweetelm.generation.request import Request
from tweetelm.generation.strategies import STRATEGIES, HumanTweets


def plan(number: int, tweets: HumanTweets | None = None, **settings: object) -> list[Request]:
    chosen = PlanSettings(**settings)  # type: ignore[arg-type]
    return list(islice(requests(chosen, tweets or human_tweets()), number))


def test_same_settings_give_the_same_requests() -> None:
    assert plan(50) == plan(50)
    assert plan(50)[:20] == plan(20)


def test_another_seed_gives_other_requests() -> None:
    assert not {request.id for request in plan(50)} & {request.id for request in plan(50, seed=1)}


def test_every_strategy_meets_every_temperature() -> None:
    met = {(request.strategy, request.temperature) for request in plan(15)}
    assert met == {(name, temperature) for name in STRATEGIES for temperature in (0.7, 0.9, 1.1)}


def test_prompts_show_the_rows_that_they_name() -> None:
    tweets = human_tweets()
    text_of = dict(zip(tweets.rows, tweets.texts, strict=True))
    account_of = dict(zip(tweets.rows, tweets.accounts, strict=True))
    for request in plan(100):
        shown = [text_of[row] for row in request.sources]
        assert shown
        assert {account_of[row] for row in request.sources} == {request.imitated}
        if request.strategy in ("imitate", "paraphrase", "answer"):
            assert all(text in request.user for text in shown)
        if request.strategy == "imitate":
            assert len(shown) == 4
        if request.strategy == "continue":
            assert shown[0].startswith(request.begin)


def test_ids_are_unique() -> None:
    found = plan(1000)
    assert len({request.id for request in found}) == len(found)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategies": ("continue", "rhyme")}, "rhyme; expected some of continue, imitate"),
        ({"strategies": ()}, "no value; expected some of"),
        ({"temperatures": (0.7, 0.0)}, "expected numbers above 0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(1, **settings)


def test_imitation_needs_an_account_with_tweets() -> None:
    lonely = human_tweets(3)
    with pytest.raises(ValueError, match="without imitate, or --account COLUMN"):
        plan(5, lonely)


def test_prompts_need_long_tweets() -> None:
    short = HumanTweets(texts=["ok", "no"], rows=[0, 1], accounts=["a", "a"])
    with pytest.raises(ValueError, match="no human tweet of 5 words"):
        plan(1, short)


def test_words_with_apostrophes_can_be_continued() -> None:
    tweets = HumanTweets(texts=["I'm it's we're"], rows=[0], accounts=["ann"])
    found = list(islice(requests(PlanSettings(strategies=("continue",)), tweets), 3))
    assert {request.begin for request in found} == {"I'm it's"}
