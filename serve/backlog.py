"""How much work waits in a replica, and how long that takes."""


class Backlog:
    """Tokens that wait or are being read, and the speed at which they have been read lately."""

    _MEMORY = 20_000.0  # tokens after which a measurement counts for a third

    def __init__(self) -> None:
        self.tokens = 0
        self._read = 0.0
        self._seconds = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until all that waits is read; 0 before anything was measured."""
        return self.tokens * self._seconds / self._read if self._read else 0.0

    def measured(self, tokens: int, seconds: float) -> None:
        """A batch of `tokens` took `seconds`. Large batches count for more: they show what the model can
        do."""
        keep = max(0.0, 1 - tokens / self._MEMORY)
        self._read = self._read * keep + tokens
        self._seconds = self._seconds * keep + seconds
