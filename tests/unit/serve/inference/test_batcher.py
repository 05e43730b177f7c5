import asyncio
import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from serve.inference.batcher import Batcher, Item, computed_tokens, run_apart, token_count
from tests.support.fake_predictor import POISON, FakePredictor


def nothing(*recorded: Any) -> None:
    return


def items(predictor: Any, *texts: str) -> list[Item]:
    return [Item(predictor, encoded) for encoded in predictor.encode(texts)]


async def start_held_batch(batcher: Batcher, hate: FakePredictor) -> asyncio.Task[Any]:
    """Start a batch of one text that runs until `hate.hold` is set."""
    hate.hold = threading.Event()
    first = asyncio.create_task(batcher.classify(items(hate, "x")))
    while batcher.running_since is None:
        await asyncio.sleep(0)
    return first


def test_texts_queued_during_a_batch_form_the_next() -> None:
    async def run() -> list[Any]:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await start_held_batch(batcher, hate)
        later = [asyncio.create_task(batcher.classify(items(hate, "a" + "!" * n))) for n in range(5)]
        await asyncio.sleep(0)
        assert hate.hold is not None
        hate.hold.set()
        await first
        found = [(await task)[0].probabilities[1] for task in later]  # type: ignore[union-attr]
        assert found == [n / (n + 1) for n in range(5)]
        return hate.batches

    assert asyncio.run(run()) == [1, 5]


def test_single_text_runs_at_once() -> None:
    hate, recorded = FakePredictor("hate"), []
    batcher = Batcher(100, lambda items, *_: recorded.append((token_count(items), len(items))), nothing)
    asyncio.run(batcher.classify(items(hate, "abc")))
    assert (hate.batches, recorded) == ([1], [(3, 1)])


class Slow(FakePredictor):
    """Takes 0.1 s per forward pass, for any number of texts."""

    def classify(self, encoded: Sequence[Any], owners: Any = None) -> list[Any]:
        time.sleep(0.1)
        return super().classify(encoded)


def test_clients_that_retry_at_once_share_batches() -> None:
    """The clients' next texts arrive tenths of a millisecond apart."""

    async def client(batcher: Batcher, hate: FakePredictor, number: int) -> None:
        for _ in range(5):
            await batcher.classify(items(hate, "abc"))
            await asyncio.sleep(2e-4 * number)

    async def run() -> list[int]:
        hate = Slow("hate")
        batcher = Batcher(100, nothing, nothing)
        await asyncio.gather(*(client(batcher, hate, number) for number in range(8)))
        return hate.batches

    batches = asyncio.run(run())
    assert sum(batches) / len(batches) > 5, batches  # without the pause: 1, 7, 1, 7, …


def test_batch_respects_the_token_budget() -> None:
    hate = FakePredictor("hate")
    texts = ["a" * 4, "b" * 4, "c" * 4, "d" * 20, "e" * 3]
    assert len(asyncio.run(Batcher(10, nothing, nothing).classify(items(hate, *texts)))) == 5
    assert hate.batches == [2, 1, 1, 1]


def test_queued_tokens_are_counted_until_answered() -> None:
    async def run() -> None:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await start_held_batch(batcher, hate)
        second = asyncio.create_task(batcher.classify(items(hate, "abc")))
        await asyncio.sleep(0)
        assert batcher.backlog.tokens == 4
        assert hate.hold is not None
        hate.hold.set()
        await asyncio.gather(first, second)
        assert (batcher.backlog.tokens, batcher.running_since) == (0, None)

    asyncio.run(run())


def test_texts_of_a_cancelled_request_are_skipped() -> None:
    async def run() -> list[Any]:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await start_held_batch(batcher, hate)
        gone, stays = (asyncio.create_task(batcher.classify(items(hate, text))) for text in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        assert hate.hold is not None
        hate.hold.set()
        await asyncio.gather(first, stays)
        return hate.batches

    assert asyncio.run(run()) == [1, 1]


def test_next_batch_runs_after_a_failed_one() -> None:
    class Broken(FakePredictor):
        def classify(self, encoded: Any, owners: Any = None) -> Any:
            raise SystemError(POISON)

    async def run() -> None:
        batcher = Batcher(100, nothing, nothing)
        (failed,) = await batcher.classify(items(Broken("hate"), "x"))
        assert isinstance(failed, SystemError)
        (fine,) = await batcher.classify(items(FakePredictor("hate"), "!"))
        assert not isinstance(fine, Exception)
        assert fine.label == "hate"

    asyncio.run(run())


@pytest.mark.parametrize("count", [0, 1, 300])
def test_every_item_gets_its_outcome_in_order(count: int) -> None:
    hate = FakePredictor("hate")
    outcomes = asyncio.run(
        Batcher(50, nothing, nothing).classify(items(hate, *("a" + "!" * (n % 7) for n in range(count))))
    )
    assert [outcome.probabilities[1] for outcome in outcomes] == [(n % 7) / (n % 7 + 1) for n in range(count)]  # type: ignore[union-attr]


@pytest.mark.parametrize("budget", [1, 7, 8])
def test_text_larger_than_the_budget_still_runs(budget: int) -> None:
    hate = FakePredictor("hate")
    batcher = Batcher(budget, nothing, nothing)
    assert len(asyncio.run(batcher.classify(items(hate, "a" * 9, "b" * 9)))) == 2
    assert hate.batches == [1, 1]


def test_long_requests_do_not_delay_a_short_one() -> None:
    async def run() -> list[str]:
        hate = FakePredictor("hate")
        batcher = Batcher(100, nothing, nothing)
        first = await start_held_batch(batcher, hate)
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
        assert hate.batches[1] == 5, "one turn of each long request, then the short one"
        return ended

    assert asyncio.run(run()) == ["short", "long 0", "long 1", "long 2"]


def test_the_model_learns_whose_texts_it_reads() -> None:
    """It must not compute the common beginning of two clients' texts once."""
    seen: list[Any] = []

    class Owned(FakePredictor):
        def classify(self, encoded: Sequence[Any], owners: Any = None) -> list[Any]:
            seen.append(owners)
            return super().classify(encoded)

    texts = items(Owned("hate"), "ab", "cd", "ef")
    given = [dataclasses.replace(text, client=client) for text, client in zip(texts, "aba", strict=True)]
    asyncio.run(Batcher(100, nothing, nothing).classify(given))
    assert seen == [["a", "b", "a"]]


def test_measured_tokens_are_those_that_are_computed() -> None:
    """One client's texts that start alike are cheap; other clients' are not, and must not seem so."""
    texts = items(FakePredictor("hate"), "abcd", "abce", "abcf", "xy")
    assert computed_tokens(texts) == 14
    assert computed_tokens([dataclasses.replace(text, client="a") for text in texts]) == 8
    given = [dataclasses.replace(text, client=client) for text, client in zip(texts, "abab", strict=True)]
    assert computed_tokens(given) == 11


def test_a_thread_that_runs_apart_ends() -> None:
    async def lives_on() -> bool:
        thread = await run_apart(threading.current_thread)
        await asyncio.to_thread(thread.join, 30)
        return thread.is_alive()

    assert not asyncio.run(lives_on())
