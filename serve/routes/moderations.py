"""`POST /v1/moderations` in OpenAI's format: the official clients work unchanged.

The response has all 13 categories. Only `hate` is assessed. The others are false and 0.0, and their
`category_applied_input_types` is empty, which means that they were not assessed.
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

if TYPE_CHECKING:
    from tweetelm.predictor import Prediction, Predictor

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
HATE = "tweetelm-hate"
ALL = "tweetelm-all"
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
        description=f"{HATE} or an OpenAI model name; {ALL} adds {MACHINE}, which never sets flagged.",
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
    """Detect hate speech, in the format of OpenAI's moderations."""
    if body.model not in (None, HATE, "hate", ALL) and not _OPENAI.fullmatch(body.model or ""):
        raise ApiError("model_not_found", f"unknown model; expected {HATE} or {ALL}", "model")
    _, hate = ask.model("hate")
    texts = ask.texts(_texts(body.input))
    ask.reserve(len(texts) * (2 if body.model == ALL else 1))
    verdicts = await ask.classify("hate", hate, texts)
    results = [_moderation(hate, verdict) for verdict in verdicts]
    if body.model == ALL:
        await _add_machine(ask, texts, results)
    return ModerationResponse(
        id=f"modr-{uuid.uuid4().hex}", model=ALL if body.model == ALL else HATE, results=results
    )


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
    is_hate = verdict.label == model.labels[-1]
    nothing: dict[str, list[Literal["text"]]] = {category: [] for category in CATEGORIES}
    return Moderation(
        flagged=is_hate,
        categories=dict.fromkeys(CATEGORIES, False) | {"hate": is_hate},
        category_scores=dict.fromkeys(CATEGORIES, 0.0) | {"hate": verdict.probabilities[-1]},
        category_applied_input_types=nothing | {"hate": ["text"]},
        threshold=model.threshold,
        truncated=verdict.truncated,
        version=model.version,
    )


async def _add_machine(ask: RequestContext, texts: list[str], results: list[Moderation]) -> None:
    name, model = ask.model("deepfake")
    verdicts = await ask.classify(name, model, texts)
    for result, verdict in zip(results, verdicts, strict=True):
        result.categories[MACHINE] = verdict.label == model.labels[-1]
        result.category_scores[MACHINE] = verdict.probabilities[-1]
        result.category_applied_input_types[MACHINE] = ["text"]
