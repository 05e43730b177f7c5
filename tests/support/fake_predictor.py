"""A predictor with a simple rule: P(positive) is the share of exclamation marks in a text; 0 if empty.

Of more than two labels, P is the share of each label's number among the digits; equal without digits.
"""

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from serve.inference.engine import Engine
from tweetelm.prediction.predictions import Prediction
from tweetelm.tasks import HATE, TASKS, Task

POISON = "poison"
STANCE = dataclasses.replace(
    HATE,
    name="stance",
    question="Which side does this tweet take?",
    labels=("none", "against", "favor"),
    metric="mean_f1:against,favor",
    suite=None,
    moderation=(("against", "harassment"),),
    published=(),
)


@dataclass(frozen=True)
class Encoded:
    ids: tuple[int, ...]
    truncated: bool


class FakePredictor:
    """A token is a character; at most 20 are read. `classify` raises for a text that contains POISON."""

    def __init__(
        self, task: str | Task, *, version: str = "v1", threshold: float | None = None, card: Any = None
    ) -> None:
        self.task = task if isinstance(task, Task) else TASKS[task]
        self.labels = self.task.labels
        self.version = version
        self.threshold = threshold
        self.card = card
        self.device, self.precision, self.max_tokens = "cpu", "float32", 20
        self.batches: list[int] = []
        self.hold: threading.Event | None = None

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        return [Encoded(tuple(map(ord, text[:20])), len(text) > 20) for text in texts]

    def classify(self, encoded: Sequence[Encoded], owners: object = None) -> list[Prediction]:
        if self.hold is not None:
            self.hold.wait(timeout=10)
        self.batches.append(len(encoded))
        return [self._one("".join(map(chr, one.ids)), one.truncated) for one in encoded]

    def _one(self, text: str, truncated: bool) -> Prediction:
        if POISON in text:
            raise RuntimeError(f"cannot read {text}")
        if not self.task.binary:
            counts = [text.count(str(number)) for number in range(len(self.labels))]
            shares = tuple(n / sum(counts) if any(counts) else 1 / len(counts) for n in counts)
            return Prediction(self.labels[shares.index(max(shares))], shares, len(text), truncated)
        positive = text.count("!") / max(1, len(text))
        limit = 0.5 if self.threshold is None else self.threshold
        return Prediction(self.labels[positive >= limit], (1 - positive, positive), len(text), truncated)


def card(task: str, *, init: str, synthetic: bool) -> dict[str, Any]:
    """Return the part of a model's card.json that serving reads."""
    return {
        "task": task,
        "labels": list(TASKS[task].labels),
        "created": "2026-11-21T00:00:00+00:00",
        "data": {"root": "data", "md5": "0123.dir", "synthetic": synthetic, "rows": {"train": 8}},
        "git": None,
        "config": {},
        "libraries": {},
        "base": {
            "name": "openelm-270m",
            "init": init,
            "source": "",
            "revision": None,
            "weights_sha256": None,
            "tokenizer_sha256": None,
        },
        "metrics": {},
        "metric": TASKS[task].metric,
        "text": {},
        "max_tokens": 20,
        "run": "r",
    }


def two_models() -> Engine:
    """Two models: hate, pretrained, with a threshold; deepfake, random weights, on the synthetic sample."""
    hate = FakePredictor("hate", threshold=0.25, card=card("hate", init="pretrained", synthetic=False))
    deepfake = FakePredictor("deepfake", version="v7", card=card("deepfake", init="random", synthetic=True))
    return Engine({"hate": hate, "deepfake": deepfake})


def classify(client: TestClient, **body: Any) -> Any:
    """Return the response to a request that must succeed."""
    response = client.post("/v1/classify", json=body)
    assert response.status_code == 200, response.text
    return response.json()
