"""The progress line of a long job: rows, rows per second, time left."""

import time

EVERY_S = 10.0


class Progress:
    """Prints a line now and then.

    The speed is that of the whole command without the start of its workers.
    """

    def __init__(self, total: int, done: int, unit: str = "rows") -> None:
        self.total, self.before, self.rows, self.unit = total, done, 0, unit
        self._begun = self._printed = 0.0

    def add(self, rows: int, seconds: float) -> None:
        """Count rows that took so many seconds; print a line from time to time."""
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
        speed = f"{self.speed:,.0f}" if self.speed >= 10 else f"{self.speed:.1f}"
        return f"{finished:,} of {self.total:,} {self.unit} ({share:.0%}), {speed} {self.unit}/s, {left} left"


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    hours, rest = divmod(round(seconds), 3600)
    if hours:
        return f"{hours} h {rest // 60} min"
    minutes, rest = divmod(rest, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
