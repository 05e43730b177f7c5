from typing import Any

import pytest

from serve.inference.batcher import Item, classify_each, token_count
from tests.support.fake_predictor import POISON, FakePredictor


def items(predictor: Any, *texts: str) -> list[Item]:
    return [Item(predictor, encoded) for encoded in predictor.encode(texts)]


def labels(outcomes: list[Any]) -> list[str]:
    return [
        type(outcome).__name__ if isinstance(outcome, Exception) else outcome.label for outcome in outcomes
    ]


def test_batch_size_is_its_token_count() -> None:
    assert token_count(items(FakePredictor("hate"), "abc", "de")) == 5


def test_batch_of_two_models_keeps_order() -> None:
    hate, deepfake = FakePredictor("hate"), FakePredictor("deepfake")
    (h1, h2), (d1, d2) = items(hate, "a", "!!"), items(deepfake, "!!", "b")
    assert labels(classify_each([h1, d1, h2, d2])) == ["not-hate", "bot", "hate", "human"]
    assert (hate.batches, deepfake.batches) == ([2], [2])


def test_two_versions_of_a_task_run_separately() -> None:
    old, new = FakePredictor("hate", threshold=0.9), FakePredictor("hate", threshold=0.1)
    assert labels(classify_each(items(old, "a!") + items(new, "a!"))) == ["not-hate", "hate"]


@pytest.mark.parametrize("index", range(5))
def test_batch_failure_is_isolated(index: int) -> None:
    texts = ["a", "b!!", "c", "d!!", "e"]
    texts[index] = POISON
    expected = ["not-hate", "hate", "not-hate", "hate", "not-hate"]
    expected[index] = "RuntimeError"
    assert labels(classify_each(items(FakePredictor("hate"), *texts))) == expected


def test_missing_prediction_is_an_error() -> None:
    class Forgetful(FakePredictor):
        def classify(self, encoded: Any, owners: Any = None) -> Any:
            return super().classify(encoded)[: max(1, len(encoded) - 1)]

    assert labels(classify_each(items(Forgetful("hate"), "a", "!!", "c"))) == ["not-hate", "hate", "not-hate"]


def test_empty_batch_has_no_predictions() -> None:
    assert classify_each([]) == []
