"""The ledger of a collection: what was read and what it cost, over all runs, and the ceilings on both.

Posts are reserved on disk before each request. A request whose answer was lost counts as read in full, so
that X's own count never exceeds the ceilings.
"""

from dataclasses import dataclass
from typing import Any

from tweetelm.collection.folder import LEDGER, Folder
from tweetelm.files.json_file import check_fields

_COUNTS = ("requests", "posts", "users", "lost_posts", "lost_users")


class CeilingError(Exception):
    """The next request could exceed the cap on posts or on money."""


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Upper bounds over all runs of a folder, and the prices in dollars."""

    posts: int
    dollars: float | None
    per_post: float
    per_user: float

    def cost(self, posts: int, users: int) -> float:
        """Dollars for these reads."""
        return round(posts * self.per_post + users * self.per_user, 6)

    def allowed(self, posts: int, users: int) -> bool:
        """Whether these reads in all are within the ceilings."""
        return posts <= self.posts and (self.dollars is None or self.cost(posts, users) <= self.dollars)

    def room(self, posts: int, users: int) -> int:
        """How many more posts may be read."""
        room = self.posts - posts
        if self.dollars is not None and self.per_post:
            room = min(room, int((self.dollars - self.cost(posts, users)) / self.per_post) + 1)
        while room > 0 and not self.allowed(posts + room, users):  # at most twice, for rounding
            room -= 1
        return max(room, 0)


class Ledger:
    """Counts of all runs; `posts` and `users` include those of lost answers.

    Attributes:
        not_before: Unix time in seconds before which X allows no request.
        started_before: whether an earlier command made a request for this folder.
    """

    def __init__(self, folder: Folder, ceilings: Ceilings) -> None:
        self.folder, self.ceilings = folder, ceilings
        found = folder.read(LEDGER)
        self.started_before = found is not None
        new: dict[str, Any] = {**dict.fromkeys(_COUNTS, 0), "not_before": 0.0, "pending": {}}
        values = new | (found or {})
        check_fields(values, {**dict.fromkeys(_COUNTS, int), "not_before": float, "pending": dict})
        self.counts: dict[str, int] = {name: values[name] for name in _COUNTS}
        self.not_before = float(values["not_before"])
        self.pending: dict[str, Any] = values["pending"]
        if self.pending:
            self.settle(folder.read(self.pending["answer"]))

    @property
    def posts(self) -> int:
        """Posts read so far."""
        return self.counts["posts"]

    @property
    def cost(self) -> float:
        """Dollars spent so far."""
        return self.ceilings.cost(self.posts, self.counts["users"])

    def room(self) -> int:
        """How many more posts may be read."""
        return self.ceilings.room(self.posts, self.counts["users"])

    def reserve(self, answer: str, *, posts: int, users: int) -> None:
        """Reserve the reads of a request, on disk, before it is sent. `answer` is the file of its answer.

        Raises:
            CeilingError: they could exceed a ceiling.
        """
        if not self.ceilings.allowed(self.posts + posts, self.counts["users"] + users):
            raise CeilingError
        self.pending = {"answer": answer, "posts": posts, "users": users}
        self.counts["requests"] += 1
        self.write()

    def settle(self, answer: dict[str, Any] | None) -> None:
        """Replace the reservation by what the answer had; without an answer, all of it counts as read."""
        if answer is None:
            self.counts["lost_posts"] += self.pending["posts"]
            self.counts["lost_users"] += self.pending["users"]
        read = self.pending if answer is None else answer
        self.counts["posts"] += int(read.get("posts" if answer is None else "posts_read", 0))
        self.counts["users"] += int(read.get("users" if answer is None else "users_read", 0))
        self.pending = {}

    def write(self) -> None:
        """Store the ledger."""
        document = {**self.counts, "not_before": self.not_before, "pending": self.pending}
        self.folder.write(LEDGER, document)
