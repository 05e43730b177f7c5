"""Request and response bodies of `/v1/words`."""

from pydantic import BaseModel, Field

from serve.routes.schemas import Strict


class WordsRequest(Strict):
    model: str | None = Field(
        None, description="A name from GET /v1/models. Default: the first one listed there."
    )
    input: str = Field(description="One tweet.")


class Word(BaseModel):
    text: str
    start: int = Field(description="Index of its first character in the input, in Unicode code points.")
    end: int = Field(description="Index after its last character.")
    push: float = Field(description="Log-odds of the last label with the word, minus those without it.")


class WordsResponse(BaseModel):
    model: str
    version: str = Field(description="Published version of the model.")
    label: str = Field(description="Predicted label of the whole tweet, as in /v1/classify.")
    probs: list[float] = Field(description="Calibrated probabilities of the whole tweet.")
    threshold: float | None = Field(
        description="Predicts the last label at or above this probability; null: most probable."
    )
    truncated: bool = Field(
        description="Whether the tweet exceeded the model's maximum length and was truncated."
    )
    words: list[Word] = Field(description="The measured words, in the order of the tweet.")
    measured: int = Field(description="Number of measured words.")
    words_total: int = Field(description="Words in the tweet; larger than `measured` for a long tweet.")
