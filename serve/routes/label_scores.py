"""Labels with scores for the Hugging Face and TEI routes; headers for what their formats do not contain."""

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
    """Return all labels with their probabilities, most probable first."""
    pairs = zip(model.labels, prediction.probabilities, strict=True)
    ordered = sorted(pairs, key=lambda pair: -pair[1])
    return [Score(label=label, score=probability) for label, probability in ordered]


def describe(response: Response, model: "Predictor", predictions: "Sequence[Prediction]") -> None:
    """Set X-Model, X-Model-Version, X-Threshold ("none": most probable label) and X-Truncated, the indices of
    truncated texts."""
    cut = [str(index) for index, prediction in enumerate(predictions) if prediction.truncated]
    response.headers["X-Model"] = model.task.name
    response.headers["X-Model-Version"] = model.version
    response.headers["X-Threshold"] = "none" if model.threshold is None else str(model.threshold)
    response.headers["X-Truncated"] = ",".join(cut) or "none"
