"""The bodies of `/v1/classify`, in vLLM's shape with our additions, and of errors."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve.inference.engine import MOST_INPUTS

Texts = Annotated[list[str], Field(max_length=MOST_INPUTS, fail_fast=True)]
"""A list of texts, whose check ends at the first that is none."""


IGNORED = frozenset(
    (
        "input",
        "inputs",
        "user",
        "priority",
        "request_id",
        "rid",
        "metadata",
        "encoding_format",
        "cache_salt",
        "safety_identifier",
        "store",
        "service_tier",
        "stream",
        "timeout",
    )
)
"""Fields of other clients that change no answer: another protocol's name for the texts, and what is about
accounting, caching and the way of an answer."""


class Strict(BaseModel):
    """A request: a field that is not known is refused, for it might be meant to change the answer."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_ignored(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.keys() <= cls.model_fields.keys():
            return given
        return {
            name: value for name, value in given.items() if name in cls.model_fields or name not in IGNORED
        }


class ClassifyRequest(Strict):
    """vLLM's and SGLang's request. Of their fields those that change no answer are ignored, and those that
    would change it are refused unless they ask for what is done anyway."""

    model: str | None = Field(
        None, description="A name from GET /v1/models; if left out, the first one listed there."
    )
    input: str | Texts = Field(description="One tweet, or a list of tweets.")
    use_activation: Literal[True] | None = Field(
        None, description="vLLM's switch for raw logits: only true is served."
    )
    activation: Literal[True] | None = Field(None, description="The same, as older versions call it.")
    softmax: Literal[True] | None = Field(None, description="The same.")
    add_special_tokens: Literal[True] | None = Field(None, description="Only true is served.")
    truncate_prompt_tokens: Literal[-1] | None = Field(
        None, description="-1: as many as the model reads, which is what is done."
    )
    truncation_side: Literal["right"] | None = Field(None, description="Ends are cut.")


class Classification(BaseModel):
    index: int = Field(description="The place of the text in the request.")
    label: str = Field(
        description="The verdict: by the threshold if there is one, else the most probable label."
    )
    probs: list[float] = Field(
        description="Calibrated probabilities, in the order of the labels in GET /v1/models."
    )
    num_classes: int
    threshold: float | None = Field(
        description="The last label is given from this probability on; null: most probable."
    )
    truncated: bool = Field(description="Whether the text was longer than the model reads, and was cut.")
    version: str = Field(description="The published version that answered.")


class ItemError(BaseModel):
    code: str
    message: str


class Unclassified(BaseModel):
    """One text of several that has no verdict."""

    index: int = Field(description="The place of the text in the request.")
    label: None = None
    probs: list[float] = Field(default=[], description="Empty.")
    num_classes: Literal[0] = 0
    error: ItemError


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int
    completion_tokens: Literal[0] = 0
    prompt_tokens_details: None = None


class ClassifyResponse(BaseModel):
    id: str
    object: Literal["list"] = "list"
    created: int = Field(description="Unix time in seconds.")
    model: str
    data: list[Classification | Unclassified]
    usage: Usage


class ErrorDetail(BaseModel):
    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class ErrorResponse(BaseModel):
    error: ErrorDetail
