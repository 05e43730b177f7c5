"""Where a replica writes its line of JSON for each request: a file of its own beside Ray Serve's.

Ray Serve's log looks up eleven facts about the process for every line and formats it twice: 0.3 ms, where a
request took 3. What holds for all lines is looked up once here.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path

EVERY_S = 0.2
_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    """A record as one JSON object: time, level, message, `about` its writer, and what it has as `extra`."""

    def __init__(self, about: Mapping[str, str]) -> None:
        super().__init__()
        self._about = dict(about)

    def format(self, record: logging.LogRecord) -> str:
        known = {"asctime": self.formatTime(record), "levelname": record.levelname}
        given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        extra = {name: value for name, value in given.items() if name[0] != "_"}  # Ray's own begin so
        return json.dumps(known | {"message": record.getMessage()} | self._about | extra)


class BufferedFile(RotatingFileHandler):
    """Writes what has gathered every `EVERY_S` while an event loop runs, and at once without one.

    A write for each line would let the model's thread have Python's lock each time.
    """

    _writing: asyncio.TimerHandle | None = None

    def flush(self) -> None:
        if self._writing is not None:
            return
        try:
            self._writing = asyncio.get_running_loop().call_later(EVERY_S, self.write)
        except RuntimeError:
            self.write()

    def write(self) -> None:
        """What has gathered."""
        self._writing = None
        self.acquire()
        try:
            super().flush()
            if self.stream and 0 < self.maxBytes <= Path(self.baseFilename).stat().st_size:
                self.doRollover()
        finally:
            self.release()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 — logging's name
        return False  # `write` sees to it


def log_beside_ray_serve(about: Mapping[str, str]) -> None:
    """Have what the API says of its requests written into `requests_….log` where this replica's Ray Serve
    writes `replica_….log`, rotated as that is, and not to the terminal as well."""
    handlers = logging.getLogger("ray.serve").handlers
    (theirs,) = [handler.target for handler in handlers if isinstance(handler, MemoryHandler)]
    assert isinstance(theirs, RotatingFileHandler)
    path = Path(theirs.baseFilename)
    file = BufferedFile(
        path.with_name(f"requests_{path.name.removeprefix('replica_')}"),
        maxBytes=theirs.maxBytes,
        backupCount=theirs.backupCount,
        encoding="utf-8",
    )
    file.setFormatter(JsonLines(about))
    ours = logging.getLogger("tweetelm.serve")
    ours.handlers, ours.propagate = [file], False
    ours.setLevel(logging.INFO)
