from typing import Any

import pytest

from serve.inference.batch import Item, classify_each, token_count
from tests.support.fake_predictor import POISON, FakePredictor


def items(predictor: Any, *texts: str) -> list[Item]:
    return [Item(predictor, encoded) for encoded in predictor.encode(texts)]


def labels(outcomes: list[Any]) -> list[str]:
    return [type(one).__name__ if isinstance(one, Exception) else one.label for one in outcomes]


def test_a_batch_is_as_large_as_its_tokens() -> None:
    assert token_count(items(FakePredictor("hate"), "abc", "de")) == 5


def test_a_batch_of_two_models_runs_each_once_and_keeps_the_order() -> None:
    hate, deepfake = FakePredictor("hate"), FakePredictor("deepfake")
    (h1, h2), (d1, d2) = items(hate, "a", "!!"), items(deepfake, "!!", "b")
    assert labels(classify_each([h1, d1, h2, d2])) == ["not-hate", "bot", "hate", "human"]
    assert (hate.batches, deepfake.batches) == ([2], [2])


def test_two_versions_of_one_task_are_two_models() -> None:
    old, new = FakePredictor("hate", threshold=0.9), FakePredictor("hate", threshold=0.1)
    assert labels(classify_each(items(old, "a!") + items(new, "a!"))) == ["not-hate", "hate"]


@pytest.mark.parametrize("place", range(5))
def test_a_text_that_makes_the_model_raise_fails_alone(place: int) -> None:
    texts = ["a", "b!!", "c", "d!!", "e"]
    texts[place] = POISON
    expected = ["not-hate", "hate", "not-hate", "hate", "not-hate"]
    expected[place] = "RuntimeError"
    assert labels(classify_each(items(FakePredictor("hate"), *texts))) == expected


def test_a_model_that_loses_a_text_is_an_error_and_not_a_shift() -> None:
    class Forgetful(FakePredictor):
        def classify(self, encoded: Any) -> Any:
            return super().classify(encoded)[: max(1, len(encoded) - 1)]

    assert labels(classify_each(items(Forgetful("hate"), "a", "!!", "c"))) == ["not-hate", "hate", "not-hate"]


def test_no_items_are_no_predictions() -> None:
    assert classify_each([]) == []
