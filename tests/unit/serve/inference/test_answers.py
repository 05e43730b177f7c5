import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.inference.batcher import Item, classify_each, distinct
from serve.inference.engine import Engine
from serve.middleware.auth import Keys
from serve.middleware.gateway import Policy
from tests.support.checkpoints import checkpoint
from tests.support.fake_predictor import POISON, FakePredictor, classify
from tests.unit.serve.observability.test_metrics import sample
from tweetelm.predictor import Predictor

ONE, TWO, THREE = (f"the-key-of-client-number-{number}" for number in range(3))


def engine_of(*models: FakePredictor, **options: Any) -> Engine:
    return Engine({model.task.name: model for model in models}, **options)  # type: ignore[misc]


def ask(engine: Engine, model: Any, *requests: Sequence[str], client: str | None = "") -> list[Any]:
    """Send requests one after the other; returns all outcomes in order."""

    async def run() -> list[Any]:
        return [found for texts in requests for found in await engine.classify(model, texts, client)]

    return asyncio.run(run())


def test_kept_answers_are_bit_identical(tmp_path: Path) -> None:
    model = Predictor.load(checkpoint(tmp_path / "hate", head=2.0), device="cpu", precision="float32")
    texts = [["I love this"], ["a link http://a.b and @ann"], ["go away!"], ["word " * 400]]
    again = [["a link http://c.d and @bob"], ["I love this"]]  # the first one is read like an earlier one
    with_store, without = Engine({"hate": model}), Engine({"hate": model}, answers=0)
    assert ask(with_store, model, *texts, *again) == ask(without, model, *texts, *again)
    assert with_store.answers.about()["hate"]["found"] == 2


def test_a_question_is_asked_once() -> None:
    hate = FakePredictor("hate")
    found = ask(engine_of(hate), hate, ["a!"], ["a!", "b", "a!"], ["b"])
    assert [one.probabilities[1] for one in found] == [0.5, 0.5, 0, 0.5, 0]
    assert hate.batches == [1, 1]


def test_kept_answer_keeps_its_own_truncation() -> None:
    hate = FakePredictor("hate")
    found = ask(engine_of(hate), hate, ["x" * 20], ["x" * 21], ["x" * 20])
    assert [one.truncated for one in found] == [False, True, False]
    assert hate.batches == [1]


def test_nothing_is_kept_with_zero_answers() -> None:
    hate = FakePredictor("hate")
    ask(engine_of(hate, answers=0), hate, ["a"], ["a"], ["a", "a"])
    assert hate.batches == [1, 1, 2]


def test_answer_used_longest_ago_is_dropped() -> None:
    hate = FakePredictor("hate")
    engine = engine_of(hate, answers=2)
    ask(engine, hate, ["a"], ["b"], ["a"], ["c"], ["a"], ["b"])
    assert sum(hate.batches) == 4
    assert engine.answers.about()["hate"]["kept"] == 2


def test_a_failed_text_is_asked_again() -> None:
    hate = FakePredictor("hate")
    engine = engine_of(hate)
    assert [type(one) for one in ask(engine, hate, [POISON], [POISON])] == [RuntimeError, RuntimeError]
    assert engine.answers.about()["hate"]["found"] == 0


def test_models_do_not_share_answers() -> None:
    hate, deepfake = FakePredictor("hate"), FakePredictor("deepfake")
    engine = engine_of(hate, deepfake)
    assert [ask(engine, model, ["!!"])[0].label for model in (hate, deepfake)] == ["hate", "bot"]


def test_a_new_version_answers_for_itself() -> None:
    old, new = FakePredictor("hate", threshold=0.9), FakePredictor("hate", threshold=0.1)
    engine = engine_of(old)
    before = ask(engine, old, ["a!"])
    engine.models = {"hate": new}  # type: ignore[dict-item]
    assert [one.label for one in before + ask(engine, new, ["a!"], ["a!"])] == ["not-hate", "hate", "hate"]
    engine.models = {"hate": old}  # type: ignore[dict-item]
    ask(engine, old, ["a!"])
    assert (old.batches, new.batches) == ([1, 1], [1])


def test_late_answers_of_an_old_version_are_dropped() -> None:
    old, new = FakePredictor("hate", threshold=0.9), FakePredictor("hate", threshold=0.1)
    engine = engine_of(old)
    old.hold = threading.Event()

    async def run() -> list[Any]:
        late = asyncio.create_task(engine.classify(old, ["a!"], ""))  # type: ignore[arg-type]
        while engine.batcher.running_since is None and not late.done():
            await asyncio.sleep(0)
        engine.models = {"hate": new}  # type: ignore[dict-item]
        assert old.hold is not None
        old.hold.set()
        return [*await late, *await engine.classify(new, ["a!"], "")]  # type: ignore[arg-type]

    assert [one.label for one in asyncio.run(run())] == ["not-hate", "hate"]


def test_an_unchanged_model_keeps_its_answers_in_a_swap() -> None:
    hate, deepfake = FakePredictor("hate"), FakePredictor("deepfake")
    engine = engine_of(hate)
    ask(engine, hate, ["a"])
    engine.models = {"hate": hate, "deepfake": deepfake}  # type: ignore[dict-item]
    ask(engine, hate, ["a"])
    assert hate.batches == [1]


def test_a_batch_reads_equal_texts_of_a_client_once() -> None:
    hate = FakePredictor("hate")
    (first, again, other) = hate.encode(["a!", "a!", "b"])
    items = [Item(hate, one, client) for one in (first, again, other) for client in ("x", "y", None)]  # type: ignore[arg-type]
    outcomes = classify_each(items)
    assert [one.probabilities[1] for one in outcomes] == [0.5] * 6 + [0] * 3  # type: ignore[union-attr]
    assert hate.batches == [len({*distinct(items)})] == [7]


def requests(client: TestClient, *keys: str) -> None:
    for key in keys:
        headers = {"Authorization": f"Bearer {key}"}
        assert client.post("/v1/classify", json={"input": "a!"}, headers=headers).status_code == 200


def test_api_keys_do_not_share_answers() -> None:
    hate, keys = FakePredictor("hate"), Keys(f"{ONE},{TWO}")
    engine = engine_of(hate, clients=lambda: keys.clients)
    with TestClient(create_api(engine, policy=Policy(keys=keys))) as client:
        requests(client, ONE, TWO, ONE, TWO)
    assert hate.batches == [1, 1]
    assert engine.answers.about()["hate"]["found"] == 2


def test_keys_share_the_capacity_equally() -> None:
    hate, clients = FakePredictor("hate"), ["x", "y"]
    engine = engine_of(hate, answers=8, clients=lambda: len(clients))
    texts = [[letter] for letter in "abcdef"]
    for client in clients:
        ask(engine, hate, *texts, client=client)
    assert engine.answers.about()["hate"]["kept"] == 8
    hate.batches.clear()
    ask(engine, hate, *texts[-4:], client="x")
    assert hate.batches == []  # y could not drop the answers of x
    clients += ["z", "w"]
    ask(engine, hate, ["a"], client="z")
    assert engine.answers.about()["hate"]["kept"] == 5


def test_answers_of_removed_keys_are_dropped() -> None:
    hate = FakePredictor("hate")
    engine = engine_of(hate, clients=lambda: 2)
    for client in ("x", "y", "z", "y", "x"):
        ask(engine, hate, ["a"], client=client)
    assert (engine.answers.about()["hate"]["kept"], len(hate.batches)) == (2, 4)


def test_words_and_probes_ask_the_model_itself() -> None:
    hate = FakePredictor("hate")
    engine = engine_of(hate)
    with TestClient(create_api(engine)) as client:
        for _ in range(2):
            assert client.post("/v1/words", json={"input": "a b!"}).status_code == 200
    ask(engine, hate, ["a"], ["a"], client=None)
    assert hate.batches == [1, 2, 1, 2, 1, 1]
    assert engine.answers.about()["hate"]["texts"] == 0


@pytest.mark.parametrize(("answers", "found"), [(100, 2), (0, 0)])
def test_metrics_and_info_report_the_hit_rate(answers: int, found: int) -> None:
    with TestClient(create_api(engine_of(FakePredictor("hate"), answers=answers))) as client:
        classify(client, input=["a!", "b"])
        classify(client, input=["a!", "b"])
        text, about = client.get("/metrics").text, client.get("/info").json()["answers"]["hate"]
    assert sample(text, "tweetelm_answers_total", model="hate", source="kept") == found
    assert sample(text, "tweetelm_answers_total", model="hate", source="model") == found
    assert sample(text, "tweetelm_kept_answers", model="hate") == found
    assert sample(text, "tweetelm_texts_total", model="hate") == 2  # the two labels have a series each
    assert about == {
        "capacity": answers,
        "kept": found,
        "texts": 2 * found,
        "found": found,
        "hit_rate": found / 4,
    }
