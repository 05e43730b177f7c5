"""The bodies of `/v1/classify`, in vLLM's shape with our additions, and of errors."""

from typing import Literal

from pydantic import BaseModel, Field


class ClassifyRequest(BaseModel):
    """Keys of vLLM's request that change no answer here (`user`, `priority`, …) are accepted and ignored."""

    model: str | None = Field(
        None, description="A name from GET /v1/models; if left out, the first one listed there."
    )
    input: str | list[str] = Field(description="One tweet, or a list of tweets.")
    use_activation: Literal[True] | None = Field(
        None, description="vLLM's switch for raw logits: only true is served."
    )


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
    data: list[Classification]
    usage: Usage


class ErrorDetail(BaseModel):
    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str


class ErrorResponse(BaseModel):
    error: ErrorDetail
