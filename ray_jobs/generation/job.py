"""Generates in waves, until enough rows pass the filters."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path

from ray_jobs.progress_line import Progress
from tweetelm.generation.filters import Filters, Outcome
from tweetelm.generation.journal import FOLDER, read_journal
from tweetelm.generation.plan import PlanSettings, requests
from tweetelm.generation.request import Answer, Request
from tweetelm.generation.strategies import HumanTweets

_FIRST = 1.25  # requests per row of the first wave
_LEAST = 32  # requests of a wave
_POLL_S = 2.0  # between two looks at the journal
_USELESS = 0.02  # a wave of which fewer answers are kept ends the job

Ask = Callable[[Sequence[Request]], str]
"""Asks the generator and waits until the answers are recorded; returns why it stopped early, or nothing."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One generation.

    Attributes:
        folder: of the answers and the results.
        settings: of the plan.
        rows: wanted number of rows.
        most: maximum number of different requests.
        tweets: human tweets of the training split.
        filters: with all human tweets.
    """

    folder: Path
    settings: PlanSettings
    rows: int
    most: int
    tweets: HumanTweets
    filters: Filters

    @property
    def journal(self) -> Path:
        """The folder of the answers."""
        return self.folder / FOLDER

    def first(self, number: int) -> list[Request]:
        """The first requests of the plan."""
        return list(islice(requests(self.settings, self.tweets), number))


def generate(job: Job, ask: Ask) -> tuple[Outcome, dict[str, Answer], str]:
    """Ask in waves until there are enough rows.

    Args:
        job: what to generate.
        ask: asks the generator.

    Returns:
        The rows with the counts, all answers, and why there are fewer rows than wanted; empty if not.
    """
    number, why = min(job.most, max(_LEAST, ceil(job.rows * _FIRST))), ""
    answers, _ = read_journal(job.journal)
    if answers:
        print(f"continuing: {len(answers):,} requests are answered", flush=True)
    while True:
        planned = job.first(number)
        missing = [request for request in planned if request.id not in answers]
        if missing:
            why = ask(missing)
            answers, _ = read_journal(job.journal)
        outcome = job.filters.select(planned, answers, job.rows)
        print(f"{len(outcome.rows):,} of {job.rows:,} rows after {len(answers):,} answers", flush=True)
        if len(outcome.rows) >= job.rows:
            return outcome, answers, ""
        why = why or _why_end(job, number, outcome)
        if why:
            return outcome, answers, why
        number = _next_number(job, number, outcome)


def _why_end(job: Job, number: int, outcome: Outcome) -> str:
    if number >= job.most:
        return f"--max-requests {job.most} is reached"
    if outcome.answers and len(outcome.rows) < _USELESS * outcome.answers:
        return f"only {len(outcome.rows)} of {outcome.answers} answers are usable; choose another --model"
    return ""


def _next_number(job: Job, number: int, outcome: Outcome) -> int:
    share = max(len(outcome.rows) / max(outcome.answers, 1), _USELESS)
    more = ceil((job.rows - len(outcome.rows)) / share * 1.1)
    return min(job.most, number + max(_LEAST, more))


def chunks(missing: Sequence[Request], size: int) -> list[list[Request]]:
    """Requests of like prompt lengths together, in chunks of this size."""
    ordered = sorted(missing, key=lambda request: (len(request.user), request.id))
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


class JournalWatch:
    """Prints a progress line from time to time, by counting the lines of the journal."""

    def __init__(self, journal: Path, total: int) -> None:
        self._journal, self._stop = journal, threading.Event()
        self._done = sum(1 for _ in self._answers())
        self._progress = Progress(total + self._done, self._done, unit="answers")
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "JournalWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        begun = time.monotonic()
        while not self._stop.wait(_POLL_S):
            now = sum(1 for _ in self._answers())
            if now > self._done:
                self._progress.add(now - self._done, time.monotonic() - begun)
                self._done = now

    def _answers(self) -> Iterator[bytes]:
        for file in self._journal.glob("*.jsonl"):
            with file.open("rb") as lines:
                yield from (line for line in lines if line.startswith(b'{"id"'))
