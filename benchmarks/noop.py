"""Our application with a no-op model, to measure the cost of everything else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ray.serve import Application

from serve.app import TweetClassifier, deployment
from serve.inference.model_loader import Loaded
from serve.settings import read
from tweetelm.encoding import Encoded
from tweetelm.predictor import Prediction, Predictor
from tweetelm.tasks import HATE, Task

VERSION = "noop"
_ENCODED = Encoded((1, 2, 3), truncated=False)
_PREDICTION = Prediction(HATE.labels[0], (0.75, 0.25), 3, truncated=False)


@dataclass(frozen=True)
class Constant:
    """A no-op `Predictor` with the attributes that serving uses."""

    task: Task = HATE
    labels: tuple[str, ...] = HATE.labels
    version: str = VERSION
    precision: str = "float32"
    threshold: float | None = None
    card: dict[str, Any] | None = None

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        return [_ENCODED] * len(texts)

    def classify(self, encoded: Sequence[Encoded], owners: object = None) -> list[Prediction]:
        return [_PREDICTION] * len(encoded)


class NoOp(TweetClassifier):
    """A replica with a no-op model."""

    def _load(self, _: Any) -> dict[str, Loaded]:
        return {HATE.name: Loaded(Path(), cast(Predictor, Constant()))}


def build(args: dict[str, Any]) -> Application:
    """Build the application, like `serve.app.build`."""
    settings = read(args)
    return deployment(settings, NoOp).bind(settings)
