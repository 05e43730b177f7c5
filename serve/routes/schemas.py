"""Request and response bodies of `/v1/classify`, in vLLM's format with additional fields, and of errors."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve.limits import MOST_INPUTS

Texts = Annotated[list[str], Field(max_length=MOST_INPUTS, fail_fast=True)]
"""A list of texts; validation stops at the first item that is not a string."""


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
"""Fields of other clients that do not change the result: other names for the texts, and fields for
accounting, caching and delivery."""


class Strict(BaseModel):
    """A request body. Unknown fields are rejected, because they might be meant to change the result."""

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
    """The request of vLLM and SGLang. Fields that do not change the result are ignored; fields that would
    change it are rejected unless they have the only supported value."""

    model: str | None = Field(
        None, description="A name from GET /v1/models. Default: the first one listed there."
    )
    input: str | Texts = Field(description="One tweet, or a list of tweets.")
    use_activation: Literal[True] | None = Field(
        None, description="vLLM's switch for raw logits: only true is supported."
    )
    activation: Literal[True] | None = Field(
        None, description="The name of use_activation in older versions."
    )
    softmax: Literal[True] | None = Field(None, description="As use_activation.")
    add_special_tokens: Literal[True] | None = Field(None, description="Only true is supported.")
    truncate_prompt_tokens: Literal[-1] | None = Field(
        None, description="Only -1: truncate to the model's maximum length."
    )
    truncation_side: Literal["right"] | None = Field(
        None, description="Only right: the end of a text is cut off."
    )


class Classification(BaseModel):
    index: int = Field(description="Index of the text in the request.")
    label: str = Field(
        description="Predicted label: by the threshold if there is one, else the most probable."
    )
    probs: list[float] = Field(
        description="Calibrated probabilities, in the order of the labels in GET /v1/models."
    )
    num_classes: int
    threshold: float | None = Field(
        description="Predicts the last label at or above this probability; null: most probable."
    )
    truncated: bool = Field(
        description="Whether the text exceeded the model's maximum length and was truncated."
    )
    version: str = Field(description="Published version of the model.")


class ItemError(BaseModel):
    code: str
    message: str


class Unclassified(BaseModel):
    """A text without a prediction, among several."""

    index: int = Field(description="Index of the text in the request.")
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
