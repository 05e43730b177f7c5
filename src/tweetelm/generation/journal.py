"""The answers of a generation, in files that only grow. What is written there is never asked again."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tweetelm.generation.request import Answer

FOLDER = "answers"


class JournalWriter:
    """Appends lines to a file of its own in the folder; several writers share a folder.

    A line is one JSON object: `{"sent": id}` before a request that costs money, `{"unsent": id}` if it did
    not reach the endpoint, and the answer. Answers are on the disk when `answered` returns.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / f"{secrets.token_hex(8)}.jsonl").open("a", encoding="utf-8")

    def sent(self, request: str) -> None:
        """Record that a request is about to be sent. Survives the death of the process."""
        self._line({"sent": request})

    def unsent(self, request: str) -> None:
        """Record that a request did not reach the endpoint."""
        self._line({"unsent": request})

    def answered(self, answers: list[Answer]) -> None:
        """Record answers, and wait until they are on the disk."""
        for answer in answers:
            self._line(answer.to_json())
        os.fsync(self._file.fileno())

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _line(self, values: dict[str, Any]) -> None:
        self._file.write(json.dumps(values, ensure_ascii=False) + "\n")
        self._file.flush()


def read_journal(folder: Path) -> tuple[dict[str, Answer], int]:
    """All answers by the request's id, and the number of requests that were sent.

    A last line that was cut off by the death of its writer is ignored.

    Raises:
        ValueError: a whole line is not an answer.
    """
    answers: dict[str, Answer] = {}
    sent = 0
    for file in sorted(folder.glob("*.jsonl")):
        for line in _lines(file):
            if isinstance(line, int):
                sent += line
            else:
                answers.setdefault(line.id, line)
    return answers, sent


def _lines(file: Path) -> Iterator[Answer | int]:
    """The answers in a file; 1 for a line that announces a request, -1 for one that takes it back."""
    content = file.read_bytes()
    whole, _, _ = content.rpartition(b"\n")
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            values = json.loads(line)
            yield 1 if "sent" in values else -1 if "unsent" in values else Answer.from_json(values)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{file}, line {number} is damaged ({error}); delete this line and run the command again"
            ) from error
