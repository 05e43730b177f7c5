"""The progress line of an archive: rows, rows per second, time left."""

import time

EVERY_S = 10.0


class Progress:
    """Prints a line now and then.

    The speed is that of the whole command without the start of its workers.
    """

    def __init__(self, total: int, done: int) -> None:
        self.total, self.before, self.rows = total, done, 0
        self._begun = self._printed = 0.0

    def add(self, rows: int, seconds: float) -> None:
        """Count the rows of a fragment that took so many seconds; print a line from time to time."""
        now = time.monotonic()
        if not self.rows:
            self._begun = now - seconds
        self.rows += rows
        if now > self._printed + EVERY_S:
            self._printed = now
            print(self.line(), flush=True)

    @property
    def speed(self) -> float:
        """Rows per second of this command; 0 without rows."""
        return self.rows / max(time.monotonic() - self._begun, 1e-9)

    def line(self) -> str:
        """The present state."""
        finished = self.before + self.rows
        left = duration((self.total - finished) / self.speed) if self.rows else "an unknown time"
        share = finished / max(self.total, 1)
        return f"{finished:,} of {self.total:,} rows ({share:.0%}), {self.speed:,.0f} rows/s, {left} left"


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"{hours} h {rest // 60} min"
    minutes, rest = divmod(rest, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
