"""`POST /v1/classify/file`: classifies a file of tweets row by row.

The file is spooled to disk first, because many clients read the response only after they have sent the body.
Rows are then read, classified and sent in batches, so memory does not grow with the file.
"""

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, cast

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import StreamingResponse

from serve.inference.batcher import Outcome
from serve.middleware.errors import ApiError
from serve.middleware.gateway import FILE_PATH, log_failure
from serve.routes.deps import Asking, RequestContext, check
from serve.routes.file_answers import Columns, Count, csv_lines, json_lines, wide_csv_lines
from serve.routes.file_rows import CSV, JSONL, KINDS, TEXT, TSV, Row, read_rows

if TYPE_CHECKING:
    from tweetelm.predictor import Predictor

ROWS = 64  # about one forward pass, so that other requests run in between
IN_MEMORY = 1_000_000  # bytes; a larger file goes to disk
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
_STRING = {"schema": {"type": "string"}}
_BODY = {"content": dict.fromkeys((TEXT, CSV, TSV, JSONL), _STRING), "required": True}

router = APIRouter(tags=["classify"])


async def spooled(request: Request, ask: Asking) -> AsyncIterator[BinaryIO]:
    """Spool the request's body to a file that lasts as long as the response.

    Raises:
        ApiError: too many files are being processed (429).
    """
    files, key = request.app.state.files, ask.record.key
    if files[key] >= ask.limits.files_per_key or files.total() >= ask.limits.files:
        raise ApiError(
            "overloaded", f"too many files, {files[key]} of them yours; try again", retry_after_s=5
        )
    files[key] += 1
    try:
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            async for part in request.stream():
                file.write(part)
            file.seek(0)
            yield cast("BinaryIO", file)
    finally:
        files[key] -= 1
        if not files[key]:
            del files[key]


@router.post(
    FILE_PATH,
    response_class=StreamingResponse,
    responses={200: {"content": dict.fromkeys((JSONL, CSV), _STRING)}},
    openapi_extra={"requestBody": _BODY},
)
async def classify_file(
    request: Request,
    ask: Asking,
    file: Annotated[BinaryIO, Depends(spooled)],
    model: Annotated[str | None, Query(description="A name from GET /v1/models.")] = None,
    column: Annotated[
        str, Query(description="Name of the text column in CSV, or of the text field in JSON objects.")
    ] = "text",
    keep: Annotated[
        Literal["columns"] | None, Query(description="columns: the answer has all columns of the file.")
    ] = None,
    prefix: Annotated[
        str,
        Query(max_length=64, description="Begins the names of the columns that keep=columns adds."),
    ] = "",
) -> StreamingResponse:
    """Classify a file: one tweet per line (text/plain), CSV, TSV, or JSON lines, chosen by its Content-Type.

    The response is JSON lines, or CSV with `Accept: text/csv`. With `keep=columns`, a JSON line has `columns`
    with all columns of its row; a CSV has all columns of the file, then `label`, one `prob_` per label,
    `version`, `truncated` and `error`. A row that cannot be classified has an error.
    The last JSON line has `"done": true`; without it, the response is incomplete. If most rows fail,
    processing stops early with the error `too_many_errors`.
    """
    name, predictor = ask.model(model)
    kind, keeps = _kind(request), keep is not None
    try:
        table = read_rows(file, kind, column=column, line_bytes=ask.limits.line_bytes, keep=keeps)
    except ValueError as error:
        raise ApiError("invalid_type", str(error), "column") from None
    batches = _answers(ask, name, predictor, table.rows)
    as_csv = CSV in request.headers.get("accept", "")
    count = Count(ask.limits.file_errors)
    if as_csv and keeps:
        lines = wide_csv_lines(batches, count, _columns(table.names, predictor, prefix))
    elif as_csv:
        lines = csv_lines(batches, count)
    else:
        lines = json_lines(batches, count, name, predictor.version)
    headers = {"X-Model": name, "X-Model-Version": predictor.version}
    return StreamingResponse(lines, media_type=CSV if as_csv else JSONL, headers=headers)


def _columns(names: tuple[str, ...] | None, model: "Predictor", prefix: str) -> Columns:
    if names is None:
        message = "JSON lines have no fixed columns: with keep=columns leave out the header Accept: text/csv"
        raise ApiError("invalid_type", message, "keep")
    columns = Columns.of(names, model, prefix)
    if taken := [name for name in columns.added if name in names]:
        message = f"the file already has a column named {taken[0]!r}; set another prefix, such as tweetelm_"
        raise ApiError("invalid_type", message, "prefix")
    return columns


def _kind(request: Request) -> str:
    given, *options = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    if given not in KINDS:
        raise ApiError("invalid_type", f"unknown Content-Type; expected one of {', '.join(KINDS)}")
    if any(option.startswith("charset=") and option[8:].strip('"') not in CHARSETS for option in options):
        raise ApiError("invalid_type", "the charset in Content-Type is not supported; expected UTF-8")
    return KINDS[given]


async def _answers(
    ask: RequestContext, name: str, model: "Predictor", rows: Iterator[Row]
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the results of each batch of rows. A key above its rate limit is delayed, not rejected.

    Rows are read in a thread, so that slow parsing does not block the event loop.
    """
    while batch := await asyncio.to_thread(_read, rows):
        while wait_s := ask.wait_s(len(batch)):
            await asyncio.sleep(wait_s)
        texts = [row.text for row in batch if row.text is not None]
        outcomes = iter(await ask.outcomes(name, model, texts) if texts else ())
        yield [_answer(row, model, next(outcomes) if row.text is not None else None) for row in batch]


def _read(rows: Iterator[Row]) -> list[Row]:
    return [_checked(row) for row in islice(rows, ROWS)]


def _checked(row: Row) -> Row:
    if row.text is None:
        return row
    try:
        check(row.text, "the row")
    except ApiError as error:
        return dataclasses.replace(row, text=None, code=error.code, message=error.detail)
    return row


def _answer(row: Row, model: "Predictor", outcome: "Outcome | None") -> dict[str, Any]:
    answer: dict[str, Any] = {"row": row.number}
    if row.columns is not None:
        answer["columns"] = row.columns
    if outcome is None:
        return answer | {"error": {"code": row.code, "message": row.message}}
    if isinstance(outcome, Exception):
        log_failure(f"row {row.number} of a file", outcome)
        return answer | {"error": {"code": "internal", "message": "the model failed on this row"}}
    return answer | {
        "label": outcome.label,
        "probs": list(outcome.probabilities),
        "threshold": model.threshold,
        "truncated": outcome.truncated,
    }
