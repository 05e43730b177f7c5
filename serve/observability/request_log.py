"""The access log of a replica: a file of JSON lines beside Ray Serve's log.

Ray Serve's logger looks up eleven facts about the process for every line and formats it twice. That takes
0.3 ms of a request of 3 ms. This logger looks up the constant facts once.
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
    """Formats a record as a JSON object: time, level, message, the fields of `about`, and `extra`."""

    def __init__(self, about: Mapping[str, str]) -> None:
        super().__init__()
        self._about = dict(about)

    def format(self, record: logging.LogRecord) -> str:
        known = {"asctime": self.formatTime(record), "levelname": record.levelname}
        given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        extra = {
            name: value for name, value in given.items() if name[0] != "_"
        }  # names of Ray's fields start with _
        return json.dumps(known | {"message": record.getMessage()} | self._about | extra)


class BufferedFile(RotatingFileHandler):
    """Writes buffered lines every `EVERY_S` seconds while an event loop runs, and immediately without one.

    A write per line would hand Python's GIL to the model's thread each time.
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
        """Write the buffered lines, and rotate the file if it is too large."""
        self._writing = None
        self.acquire()
        try:
            super().flush()
            if self.stream and 0 < self.maxBytes <= Path(self.baseFilename).stat().st_size:
                self.doRollover()
        finally:
            self.release()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 — logging's name
        return False  # `write` rotates the file


def log_beside_ray_serve(about: Mapping[str, str]) -> None:
    """Write the access log to `requests_….log` beside this replica's `replica_….log`, with the same rotation,
    and not to the terminal.

    Args:
        about: Constant fields of every line.
    """
    handlers = logging.getLogger("ray.serve").handlers
    (ray_file,) = [handler.target for handler in handlers if isinstance(handler, MemoryHandler)]
    assert isinstance(ray_file, RotatingFileHandler)
    path = Path(ray_file.baseFilename)
    file = BufferedFile(
        path.with_name(f"requests_{path.name.removeprefix('replica_')}"),
        maxBytes=ray_file.maxBytes,
        backupCount=ray_file.backupCount,
        encoding="utf-8",
    )
    file.setFormatter(JsonLines(about))
    access_log = logging.getLogger("tweetelm.serve")
    access_log.handlers, access_log.propagate = [file], False
    access_log.setLevel(logging.INFO)
