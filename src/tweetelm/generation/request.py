"""What is asked of a generator, and what it answers."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request for one tweet. Everything in it follows from the plan's settings and its number.

    Attributes:
        id: unique in the plan; equal for equal content.
        strategy: how the prompt was made; a key of `STRATEGIES`.
        temperature: of the sampling.
        seed: of the sampling.
        system, user: the two messages of the prompt.
        begin: words with which the tweet begins; the generator writes the rest.
        imitated: account whose tweets the prompt shows; empty for prompts of several accounts.
        sources: rows of the training split that the prompt shows.
    """

    id: str
    strategy: str
    temperature: float
    seed: int
    system: str
    user: str
    begin: str = ""
    imitated: str = ""
    sources: tuple[int, ...] = ()

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.user}]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A generator's answer.

    Attributes:
        id: of the request.
        text: as the generator wrote it; None if the answer was malformed.
        finished: whether the generator ended it; False if it was cut off at the maximum number of tokens.
        prompt_tokens, completion_tokens: as the generator counts them.
    """

    id: str
    text: str | None
    finished: bool = True
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object; `from_json` reads it."""
        return vars(self).copy()

    @staticmethod
    def from_json(values: dict[str, Any]) -> "Answer":
        """The answer that `to_json` described."""
        return Answer(**values)
