"""The bodies of `/v1/words`."""

from pydantic import BaseModel, Field

from serve.routes.schemas import Strict


class WordsRequest(Strict):
    model: str | None = Field(
        None, description="A name from GET /v1/models; if left out, the first one listed there."
    )
    input: str = Field(description="One tweet.")


class Word(BaseModel):
    text: str
    start: int = Field(description="The place of its first character in the input, in Unicode code points.")
    end: int = Field(description="The place after its last character.")
    push: float = Field(
        description="How much higher the log-odds of the last label are with the word than without it."
    )


class WordsResponse(BaseModel):
    model: str
    version: str = Field(description="The published version that answered.")
    label: str = Field(description="The verdict on the whole tweet, as /v1/classify gives it.")
    probs: list[float] = Field(description="Calibrated probabilities of the whole tweet.")
    threshold: float | None = Field(
        description="The last label is given from this probability on; null: most probable."
    )
    truncated: bool = Field(description="Whether the tweet was longer than the model reads, and was cut.")
    words: list[Word] = Field(description="Those that were measured, in the tweet's order.")
    measured: int
    words_total: int = Field(description="Words in the tweet; more than `measured` in a long one.")
