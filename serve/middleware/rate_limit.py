"""Rate limit per API key: a token bucket of texts, local to this process."""

import math
import time


class RateLimiter:
    """Allows `per_minute` texts per minute and key, with a burst of the same size; 0 disables the limit.

    Each replica counts separately, so N replicas allow a key up to N times as many texts.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._left: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, texts: int) -> int:
        """Take `texts` tokens from the key's bucket.

        A request larger than the bucket is allowed once the bucket is full.

        Returns:
            0 if the tokens were taken, else the seconds until they are available.
        """
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
