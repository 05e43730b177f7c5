"""`POST /v1/moderations` in OpenAI's format: the official clients work unchanged.

The response has all 13 categories. Those are assessed that a served task maps a label to: `hate` by the task
hate. The others are false and 0.0, and their `category_applied_input_types` is empty.
"""

import re
import uuid
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field

from serve.limits import MOST_INPUTS
from serve.middleware.errors import ApiError
from serve.routes.deps import Asking, RequestContext
from serve.routes.json_body import json_router
from serve.routes.schemas import Strict, Texts
from tweetelm.tasks import CATEGORIES

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor

PREFIX = "tweetelm-"
HATE = f"{PREFIX}hate"
ALL = f"{PREFIX}all"
MACHINE = "x-machine-generated"
_OPENAI = re.compile(r"(omni|text)-moderation-(latest|stable|\d{3}|\d{4}-\d{2}-\d{2})")

router = json_router("moderations")


class Part(BaseModel):
    """A part of one input. Only text is supported; images are rejected."""

    type: str
    text: str | None = None


Parts = Annotated[list[Part], Field(max_length=MOST_INPUTS, fail_fast=True)]


class ModerationRequest(Strict):
    input: str | Texts | Parts = Field(description="One text, a list of texts, or the parts of one text.")
    model: str | None = Field(
        None,
        description=f"{HATE}, {PREFIX}TASK or an OpenAI model name; {ALL} adds {MACHINE}, which never sets "
        "flagged.",
    )


class Moderation(BaseModel):
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float] = Field(description="Calibrated probabilities.")
    category_applied_input_types: dict[str, list[Literal["text"]]] = Field(
        description='["text"] for assessed categories, [] for the others.'
    )
    threshold: float | None = Field(
        description="hate is true at or above this probability; null: the most probable label."
    )
    truncated: bool
    version: str


class ModerationResponse(BaseModel):
    id: str
    model: str
    results: list[Moderation]


@router.post("/v1/moderations")
async def moderations(body: ModerationRequest, ask: Asking) -> ModerationResponse:
    """Detect hate speech, and what other served tasks map to a category, in the format of OpenAI's
    moderations."""
    chosen = _chosen(body.model, ask)
    texts = ask.texts(_texts(body.input))
    ask.reserve(len(texts) * (len(chosen) + (body.model == ALL)))
    results: list[Moderation] = []
    for name, model in chosen.items():
        verdicts = await ask.classify(name, model, texts)
        found = [_moderation(model, verdict) for verdict in verdicts]
        results = [*map(_merged, results, found)] if results else found
    if body.model == ALL:
        await _add_machine(ask, texts, results)
    return ModerationResponse(
        id=f"modr-{uuid.uuid4().hex}",
        model=ALL if body.model == ALL else f"{PREFIX}{next(iter(chosen))}",
        results=results,
    )


def _chosen(wanted: str | None, ask: RequestContext) -> "dict[str, Predictor]":
    """Return the models to ask: the named one, or all that have a category.

    Raises:
        ApiError: no served model has a category, or the named one is not served.
    """
    ask.model(None)  # raises if nothing is loaded
    able = {name: model for name, model in ask.engine.models.items() if model.task.moderation}
    name = (wanted or "").removeprefix(PREFIX)
    if name in able and wanted != ALL:
        return {name: able[name]}
    if not able:
        raise ApiError("model_not_found", "no served model has a moderation category", "model")
    if wanted is None or wanted == ALL or _OPENAI.fullmatch(wanted):
        return able
    known = " or ".join([*(f"{PREFIX}{name}" for name in able), ALL])
    raise ApiError("model_not_found", f"unknown model; expected {known}", "model")


def _texts(given: str | list[str] | list[Part]) -> str | list[str]:
    if isinstance(given, str) or not given:
        return given if isinstance(given, str) else []
    parts: list[str | Part] = [*given]
    texts = [_text(part, index) for index, part in enumerate(parts)]
    return ["\n".join(texts)] if isinstance(parts[0], Part) else texts


def _text(part: str | Part, index: int) -> str:
    if isinstance(part, str):
        return part
    if part.type != "text" or part.text is None:
        raise ApiError("unsupported_input_type", "only parts of type text are supported", f"input[{index}]")
    return part.text


def _moderation(model: "Predictor", verdict: "Prediction") -> Moderation:
    """Return the categories that the model's task maps its labels to; the others are not assessed."""
    categories, scores = dict.fromkeys(CATEGORIES, False), dict.fromkeys(CATEGORIES, 0.0)
    kinds: dict[str, list[Literal["text"]]] = {category: [] for category in CATEGORIES}
    for label, category in model.task.moderation:
        categories[category] |= verdict.label == label
        scores[category] += verdict.probabilities[model.labels.index(label)]
        kinds[category] = ["text"]
    return Moderation(
        flagged=any(categories.values()),
        categories=categories,
        category_scores=scores,
        category_applied_input_types=kinds,
        threshold=model.threshold,
        truncated=verdict.truncated,
        version=model.version,
    )


def _merged(first: Moderation, second: Moderation) -> Moderation:
    """Return what two models found: the higher score of each category, and the version of the first."""
    return Moderation(
        flagged=first.flagged or second.flagged,
        categories={name: found or second.categories[name] for name, found in first.categories.items()},
        category_scores={
            name: max(score, second.category_scores[name]) for name, score in first.category_scores.items()
        },
        category_applied_input_types={
            name: kinds or second.category_applied_input_types[name]
            for name, kinds in first.category_applied_input_types.items()
        },
        threshold=first.threshold,
        truncated=first.truncated or second.truncated,
        version=first.version,
    )


async def _add_machine(ask: RequestContext, texts: list[str], results: list[Moderation]) -> None:
    name, model = ask.model("deepfake")
    verdicts = await ask.classify(name, model, texts)
    for result, verdict in zip(results, verdicts, strict=True):
        result.categories[MACHINE] = verdict.label == model.labels[-1]
        result.category_scores[MACHINE] = verdict.probabilities[-1]
        result.category_applied_input_types[MACHINE] = ["text"]
