"""Writes the answers of `POST /v1/classify/file` as JSON lines or CSV, with at most one batch in memory.

An answer has `row`; `label`, `probs`, `threshold` and `truncated`, or `error`; `columns` if they are kept.
"""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tweetelm.archive.added_columns import added_names

if TYPE_CHECKING:
    from tweetelm.predictor import Predictor

_SURROGATE = re.compile("[\ud800-\udfff]")  # surrogates encode bytes that are not UTF-8


@dataclass
class Count:
    """Counts the processed rows and those with an error."""

    most_errors: int
    rows: int = 0
    failed: int = 0

    def add(self, answers: Sequence[dict[str, Any]]) -> None:
        self.rows += len(answers)
        self.failed += sum("error" in answer for answer in answers)

    @property
    def is_hopeless(self) -> bool:
        """Whether to stop: more than `most_errors` rows, and more than half of all rows, have failed."""
        return self.failed > self.most_errors and 2 * self.failed > self.rows

    @property
    def reason(self) -> str:
        """Why processing stopped."""
        return f"{self.failed} of {self.rows} rows failed; stopped before the remaining rows"


@dataclass(frozen=True)
class Columns:
    """The columns of a CSV with all columns of the file: those that came, then the added ones."""

    came: tuple[str, ...]
    added: tuple[str, ...]
    version: str

    @classmethod
    def of(cls, came: tuple[str, ...], model: "Predictor", prefix: str) -> "Columns":
        """Return the columns for a file with the columns `came`."""
        added = (*added_names(model.labels, prefix), f"{prefix}error")
        return cls(came, added, model.version)

    def fields(self, answer: dict[str, Any]) -> list[Any]:
        """Return the fields of one row."""
        came = [answer.get("columns", {}).get(name, "") for name in self.came]
        if "error" in answer:
            return [*came, *[""] * (len(self.added) - 1), answer["error"]["message"]]
        truncated = str(answer["truncated"]).lower()
        return [*came, answer["label"], *answer["probs"], self.version, truncated, ""]


async def json_lines(
    batches: AsyncIterator[list[dict[str, Any]]], count: Count, name: str, version: str
) -> AsyncIterator[str]:
    async for answers in batches:
        count.add(answers)
        yield _utf8("".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in answers))
        if count.is_hopeless:
            break
    end = {"done": True, "rows": count.rows, "failed": count.failed, "model": name, "version": version}
    if count.is_hopeless:
        end |= {"done": False, "error": {"code": "too_many_errors", "message": count.reason}}
    yield json.dumps(end) + "\n"


async def csv_lines(batches: AsyncIterator[list[dict[str, Any]]], count: Count) -> AsyncIterator[str]:
    yield _csv([("row", "label", "probability", "truncated", "error")])
    async for answers in batches:
        count.add(answers)
        yield _csv([_csv_fields(answer) for answer in answers])
        if count.is_hopeless:
            yield _csv([(count.rows, "", "", "", "too_many_errors")])
            return


async def wide_csv_lines(
    batches: AsyncIterator[list[dict[str, Any]]], count: Count, columns: Columns
) -> AsyncIterator[str]:
    yield _utf8(_csv([(*columns.came, *columns.added)]))
    async for answers in batches:
        count.add(answers)
        yield _utf8(_csv([columns.fields(answer) for answer in answers]))
        if count.is_hopeless:
            yield _csv([columns.fields({"error": {"message": f"too_many_errors: {count.reason}"}})])
            return


def _utf8(text: str) -> str:
    """Replace what cannot be written in UTF-8 by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def _csv_fields(answer: dict[str, Any]) -> tuple[Any, ...]:
    if "error" in answer:
        return answer["row"], "", "", "", answer["error"]["code"]
    return answer["row"], answer["label"], answer["probs"][-1], answer["truncated"], ""


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
