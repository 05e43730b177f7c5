"""How much work waits in a replica, and how long that takes."""


class Backlog:
    """Tokens that wait or are being read, and the speed at which they have been read lately.

    The speed is taken from batches that are at least a quarter full. A single tweet takes nearly as long as a
    dozen, and would make what waits look long; when there is much to read, batches are full.
    """

    _KEPT = 0.8  # of what was measured before, with each new batch

    def __init__(self, batch_tokens: int) -> None:
        self.tokens = 0
        self._fewest = batch_tokens / 4
        self._read = 0.0
        self._seconds = 0.0

    @property
    def wait_s(self) -> float:
        """Seconds until all that waits is read; 0 before anything was measured."""
        return self.tokens * self._seconds / self._read if self._read else 0.0

    def measured(self, tokens: int, seconds: float) -> None:
        """A batch of `tokens` took `seconds`."""
        if tokens >= self._fewest:
            self._read = self._read * self._KEPT + tokens
            self._seconds = self._seconds * self._KEPT + seconds
