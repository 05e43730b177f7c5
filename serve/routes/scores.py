"""Labels with scores, the answer of Hugging Face's and TEI's routes, and what those have no place for, as
headers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastapi import Response
from pydantic import BaseModel

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor


class Score(BaseModel):
    label: str
    score: float


def scores(model: "Predictor", prediction: "Prediction") -> list[Score]:
    """Every label, the most probable first."""
    pairs = zip(model.labels, prediction.probabilities, strict=True)
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    return [Score(label=label, score=probability) for label, probability in ordered]


def describe(response: Response, model: "Predictor", predictions: "Sequence[Prediction]") -> None:
    """X-Model, X-Model-Version, X-Threshold (none: the most probable label) and, by their places, which texts
    were cut."""
    cut = [str(place) for place, prediction in enumerate(predictions) if prediction.truncated]
    response.headers["X-Model"] = model.task.name
    response.headers["X-Model-Version"] = model.version
    response.headers["X-Threshold"] = "none" if model.threshold is None else str(model.threshold)
    response.headers["X-Truncated"] = ",".join(cut) or "none"
