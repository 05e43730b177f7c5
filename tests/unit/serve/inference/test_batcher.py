import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from serve.inference.batch import Item, token_count
from serve.inference.batcher import Batcher
from tests.support.fake_predictor import POISON, FakePredictor


def nothing(*told: Any) -> None:
    return


def items(predictor: Any, *texts: str) -> list[Item]:
    return [Item(predictor, encoded) for encoded in predictor.encode(texts)]


async def held(batcher: Batcher, hate: FakePredictor) -> asyncio.Task[Any]:
    """A batch of one text that runs until `hate.hold` is set."""
    hate.hold = threading.Event()
    first = asyncio.create_task(batcher.classify(items(hate, "x")))
    while batcher.running_since is None:
        await asyncio.sleep(0)
    return first


def test_what_comes_while_a_batch_runs_is_the_next_batch_whoever_sent_it() -> None:
    async def scene() -> list[Any]:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await held(batcher, hate)
        others = [asyncio.create_task(batcher.classify(items(hate, "a" + "!" * n))) for n in range(5)]
        await asyncio.sleep(0)
        assert hate.hold is not None
        hate.hold.set()
        await first
        found = [(await other)[0].probabilities[1] for other in others]  # type: ignore[union-attr]
        assert found == [n / (n + 1) for n in range(5)]
        return hate.batches

    assert asyncio.run(scene()) == [1, 5]


def test_a_lone_text_goes_at_once() -> None:
    hate, told = FakePredictor("hate"), []
    batcher = Batcher(100, lambda items, *_: told.append((token_count(items), len(items))), nothing)
    asyncio.run(batcher.classify(items(hate, "abc")))
    assert (hate.batches, told) == ([1], [(3, 1)])


class Slow(FakePredictor):
    """A tenth of a second for each pass, however many texts."""

    def classify(self, encoded: Sequence[Any]) -> list[Any]:
        time.sleep(0.1)
        return super().classify(encoded)


def test_callers_who_ask_again_when_answered_stay_together() -> None:
    """The network brings their next texts some tenths of a millisecond apart."""

    async def caller(batcher: Batcher, hate: FakePredictor, place: int) -> None:
        for _ in range(5):
            await batcher.classify(items(hate, "abc"))
            await asyncio.sleep(2e-4 * place)

    async def scene() -> list[int]:
        hate = Slow("hate")
        batcher = Batcher(100, nothing, nothing)
        await asyncio.gather(*(caller(batcher, hate, place) for place in range(8)))
        return hate.batches

    batches = asyncio.run(scene())
    assert sum(batches) / len(batches) > 5, batches  # 1, 7, 1, 7, … without that moment


def test_a_batch_holds_no_more_than_the_budget_and_a_text_that_exceeds_it_goes_alone() -> None:
    hate = FakePredictor("hate")
    texts = ["a" * 4, "b" * 4, "c" * 4, "d" * 20, "e" * 3]
    assert len(asyncio.run(Batcher(10, nothing, nothing).classify(items(hate, *texts)))) == 5
    assert hate.batches == [2, 1, 1, 1]


def test_what_waits_is_counted_until_it_is_answered() -> None:
    async def scene() -> None:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await held(batcher, hate)
        second = asyncio.create_task(batcher.classify(items(hate, "abc")))
        await asyncio.sleep(0)
        assert batcher.backlog.tokens == 4
        assert hate.hold is not None
        hate.hold.set()
        await asyncio.gather(first, second)
        assert (batcher.backlog.tokens, batcher.running_since) == (0, None)

    asyncio.run(scene())


def test_texts_of_a_caller_who_left_are_not_read() -> None:
    async def scene() -> list[Any]:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await held(batcher, hate)
        gone, stays = (asyncio.create_task(batcher.classify(items(hate, text))) for text in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert hate.hold is not None
        hate.hold.set()
        await asyncio.gather(first, stays)
        return hate.batches

    assert asyncio.run(scene()) == [1, 1]


def test_a_batch_that_cannot_be_run_at_all_fails_for_its_callers_and_the_next_goes_on() -> None:
    class Broken(FakePredictor):
        def classify(self, encoded: Any) -> Any:
            raise SystemError(POISON)

    async def scene() -> None:
        batcher = Batcher(100, nothing, nothing)
        (failed,) = await batcher.classify(items(Broken("hate"), "x"))
        assert isinstance(failed, SystemError)
        (fine,) = await batcher.classify(items(FakePredictor("hate"), "!"))
        assert not isinstance(fine, Exception)
        assert fine.label == "hate"

    asyncio.run(scene())


@pytest.mark.parametrize("count", [0, 1, 300])
def test_every_item_gets_its_outcome_in_order(count: int) -> None:
    hate = FakePredictor("hate")
    outcomes = asyncio.run(
        Batcher(50, nothing, nothing).classify(items(hate, *("a" + "!" * (n % 7) for n in range(count))))
    )
    assert [one.probabilities[1] for one in outcomes] == [(n % 7) / (n % 7 + 1) for n in range(count)]  # type: ignore[union-attr]


@pytest.mark.parametrize("budget", [1, 7, 8])
def test_a_budget_smaller_than_a_text_still_runs_every_text(budget: int) -> None:
    hate = FakePredictor("hate")
    batcher = Batcher(budget, nothing, nothing)
    assert len(asyncio.run(batcher.classify(items(hate, "a" * 9, "b" * 9)))) == 2
    assert hate.batches == [1, 1]


def test_a_request_of_many_long_texts_does_not_hold_up_a_short_one() -> None:
    async def scene() -> list[str]:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await held(batcher, hate)
        ended: list[str] = []

        async def ask(name: str, *texts: str) -> None:
            await batcher.classify(items(hate, *texts))
            ended.append(name)

        long = [asyncio.create_task(ask(f"long {n}", *["a" * 20] * 50)) for n in range(3)]
        await asyncio.sleep(0)
        short = asyncio.create_task(ask("short", "!"))
        await asyncio.sleep(0)
        assert hate.hold is not None
        hate.hold.set()
        await asyncio.gather(first, short, *long)
        assert hate.batches[1] == 5, "one turn of each long one, then the short one, then on"
        return ended

    assert asyncio.run(scene()) == ["short", "long 0", "long 1", "long 2"]
