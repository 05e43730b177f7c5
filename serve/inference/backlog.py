"""The queue length of a replica in tokens, and the estimated wait in seconds."""


class Backlog:
    """Counts the tokens queued or in a batch, and estimates throughput from recent batches.

    Only batches that are at least a quarter full are measured. A pass over a single tweet takes nearly as
    long as one over a dozen, so small batches would overestimate the wait; under load, batches are full.

    Attributes:
        tokens: Tokens queued or in the running batch.
    """

    _DECAY = 0.8  # weight of earlier measurements with each new batch

    def __init__(self, batch_tokens: int) -> None:
        self.tokens = 0
        self._fewest = batch_tokens / 4
        self._read = 0.0
        self._seconds = 0.0

    @property
    def wait_s(self) -> float:
        """Estimated seconds until the queue is empty; 0 before the first measurement."""
        return self.tokens * self._seconds / self._read if self._read else 0.0

    def measured(self, tokens: int, seconds: float) -> None:
        """Record that a batch of `tokens` took `seconds`."""
        if tokens >= self._fewest:
            self._read = self._read * self._DECAY + tokens
            self._seconds = self._seconds * self._DECAY + seconds
