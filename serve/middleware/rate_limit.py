"""How many texts a key may send: a token bucket for each, in this process alone."""

import math
import time


class RateLimiter:
    """`per_minute` texts a minute for each key, and as many at once after a minute of rest; 0 allows any
    number.

    Each replica counts for itself. N replicas allow a key at most N times as much, and a load balancer that
    spreads evenly makes it so.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, texts: int) -> int:
        """Takes `texts` from the key's bucket and gives 0, or takes none and gives the seconds until it has
        them. More than the bucket holds wait until it is full."""
        if not self.per_minute:
            return 0
        now = time.monotonic()
        left, then = self._left.get(key, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - then) * self.per_minute / 60)
        wanted = min(texts, self.per_minute)
        if wanted <= left:
            self._left[key] = (left - texts, now)
            return 0
        self._left[key] = (left, now)
        return max(1, math.ceil((wanted - left) * 60 / self.per_minute))
