"""What a command will read at most, before it starts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tweetelm.collection.accounts import AT_ONCE, OPEN, Account
from tweetelm.collection.ledger import Ledger
from tweetelm.collection.timelines import LARGEST, SMALLEST
from tweetelm.collection.x_api import WINDOW_S


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Upper bounds of what remains to be done."""

    accounts: int
    posts: int
    users: int
    requests: int
    dollars: float
    minutes: float

    def line(self, ledger: Ledger) -> str:
        """The estimate in words, with what earlier commands have read."""
        before = f"read so far: {ledger.posts:,} posts, ${ledger.cost:,.2f}; " if ledger.posts else ""
        ceilings = f"cap {ledger.ceilings.posts:,} posts"
        if ledger.ceilings.dollars is not None:
            ceilings += f" and ${ledger.ceilings.dollars:,.2f}"
        return (
            f"{before}at most {self.posts:,} posts of {self.accounts:,} accounts and {self.users:,} users: "
            f"{self.requests:,} requests, ${self.dollars:,.2f}, {self.minutes:,.1f} minutes ({ceilings})"
        )


def estimate(accounts: Sequence[Account], reach: int, ledger: Ledger, per_window: int) -> Estimate:
    """The most that the timelines of the open accounts can take; `reach`: posts per account."""
    new = [
        account for account in accounts if account.state == OPEN and not account.user and not account.pages
    ]
    waiting = [account for account in accounts if account.state == OPEN]
    wanted = [left for account in waiting if (left := reach - account.read) >= SMALLEST]
    room = ledger.ceilings.room(ledger.posts, ledger.counts["users"] + len(new))
    posts = min(sum(wanted), room)
    pages = min(sum(math.ceil(left / LARGEST) for left in wanted), posts // SMALLEST)
    return _estimate(len(wanted), posts, len(new), pages + math.ceil(len(new) / AT_ONCE), ledger, per_window)


def estimate_refresh(posts: int, ledger: Ledger, per_window: int) -> Estimate:
    """The most that asking for `posts` ids can take."""
    return _estimate(0, posts, 0, math.ceil(posts / LARGEST), ledger, per_window)


def _estimate(
    accounts: int, posts: int, users: int, requests: int, ledger: Ledger, per_window: int
) -> Estimate:
    return Estimate(
        accounts=accounts,
        posts=posts,
        users=users,
        requests=requests,
        dollars=ledger.ceilings.cost(posts, users),
        minutes=requests / per_window * WINDOW_S / 60,
    )
