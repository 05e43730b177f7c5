"""What is known of one request by the time it ends: for the log, the metrics and nothing else."""

from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

_KEY = "tweetelm.record"


@dataclass
class RequestRecord:
    """`status` is 0 until the answer has begun; `texts` counts them; `kept` holds them, and only where the
    log was asked to."""

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
        """Fields for a log line."""
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
    scope[_KEY] = record


def record_of(scope: Scope) -> RequestRecord:
    record: RequestRecord = scope[_KEY]
    return record
