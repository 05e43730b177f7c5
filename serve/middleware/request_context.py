"""Per-request facts for the access log and the metrics."""

from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

_KEY = "tweetelm.record"


@dataclass
class RequestRecord:
    """What the access log contains about one request.

    Attributes:
        status: HTTP status; 0 until the response has started.
        key: Name of the API key.
        texts: Number of texts.
        code: Error code.
        labels: Number of texts per predicted label.
        kept: The texts, only with `Policy.log_texts`.
    """

    request_id: str
    status: int = 0
    key: str = ""
    model: str | None = None
    version: str | None = None
    texts: int = 0
    tokens: int = 0
    truncated: int = 0
    code: str | None = None
    labels: dict[str, int] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)

    def about(self) -> dict[str, Any]:
        """Return the fields of a log line; empty ones are left out."""
        known = {
            "key": self.key,
            "model": self.model,
            "model_version": self.version,
            "texts": self.texts,
            "tokens": self.tokens,
            "truncated": self.truncated,
            "labels": self.labels,
            "code": self.code,
            "input": self.kept,
        }
        return {name: value for name, value in known.items() if value}


def attach(scope: Scope, record: RequestRecord) -> None:
    """Store the record in the ASGI scope of its request."""
    scope[_KEY] = record


def record_of(scope: Scope) -> RequestRecord:
    """Return the record that `attach` stored."""
    record: RequestRecord = scope[_KEY]
    return record
