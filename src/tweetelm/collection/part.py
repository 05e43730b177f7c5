"""Writes a collection as a part: rows.csv and manifest.json."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tweetelm.collection.accounts import DONE, OPEN, Account, left_out
from tweetelm.collection.folder import REFRESHED, Folder
from tweetelm.collection.ledger import Ledger
from tweetelm.collection.settings import Settings
from tweetelm.data.part import ROWS_FILE, write_part
from tweetelm.files import atomic, object_storage

FURTHER = ("id", "created_at", "lang")  # columns after TweepFake's
PARTIAL = "partial"  # a ceiling ended the reading of the account
TERMS = {
    "agreement": "X Developer Agreement",
    "date": "2025-06-04",
    "sentence": "X's terms: pass on ids only (`--ids-only`), remove posts that authors delete or protect "
    "(`--refresh`), and read what the agreement says about training models.",
}
FILE_TERMS = {
    "agreement": "",
    "date": "",
    "sentence": "The terms are those of the files' source; tweets of other people are not yours to pass on.",
}


def write_collection(
    folder: Folder, settings: Settings, accounts: Sequence[Account], ledger: Ledger | None
) -> dict[str, Any]:
    """Write rows.csv and manifest.json; returns the manifest."""
    posts = unique_posts(accounts)
    return write_part(
        folder.place,
        "collected",
        [{**post, "account.type": "human", "class_type": "human"} for post in posts],
        FURTHER,
        settings.document(),
        accounts={
            account.name: {"state": _state(account), "read": account.read, "kept": account.kept}
            for account in accounts
        },
        window=_window(settings, posts),
        terms=FILE_TERMS if ledger is None else TERMS,
        cost=_cost(ledger),
        left_out=left_out(accounts),
        refreshed=(folder.read(REFRESHED) or {"runs": []})["runs"],
    )


def unique_posts(accounts: Iterable[Account]) -> list[dict[str, str]]:
    """The posts of all pages, each once, ordered by account and id."""
    unique = {
        post["id"]: post for account in accounts for page in account.pages for post in page["posts"]
    }.values()
    return sorted(unique, key=lambda post: (post["screen_name"].lower(), int(post["id"])))


def _state(account: Account) -> str:
    return PARTIAL if account.state == OPEN else account.state


def _window(settings: Settings, posts: Sequence[dict[str, str]]) -> dict[str, str]:
    """The window that was asked for, and the first and last time of the rows."""
    times = sorted(post["created_at"] for post in posts if post["created_at"])
    ends = {"oldest": times[0], "newest": times[-1]} if times else {"oldest": "", "newest": ""}
    return {"since": settings.since, "until": settings.until, **ends}


def _cost(ledger: Ledger | None) -> dict[str, Any]:
    if ledger is None:
        return {"requests": 0, "posts": 0, "users": 0, "dollars": 0.0}
    prices = {"per_post": ledger.ceilings.per_post, "per_user": ledger.ceilings.per_user}
    return {**ledger.counts, "dollars": ledger.cost, **prices}


def row_ids(folder: Folder) -> list[str]:
    """The ids of the posts in rows.csv, in numerical order.

    Raises:
        FileNotFoundError: the folder has no rows.
    """
    data = object_storage.read(folder.path(ROWS_FILE))
    if data is None:
        raise FileNotFoundError(
            f"{folder.path(ROWS_FILE)} does not exist; name a collection's folder with --out"
        )
    rows = csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=";", strict=True)
    return sorted((row["id"] for row in rows), key=int)


def write_ids(folder: Folder, file: Path) -> int:
    """Write the ids of the rows to a file, one a line; returns the exit status."""
    ids = row_ids(folder)
    atomic.write_text(file, "".join(f"{each}\n" for each in ids))
    print(f"{len(ids):,} ids in {file}")
    return 0


def summary_lines(manifest: dict[str, Any], folder: Folder) -> list[str]:
    """What a manifest says, for a terminal."""
    accounts = manifest["accounts"]
    lines = [
        f"@{name}: {account['state']}, {account['kept']:,} posts kept"
        for name, account in accounts.items()
        if account["state"] != DONE
    ]
    out = ", ".join(f"{count:,} {reason}" for reason, count in manifest["left_out"].items()) or "none"
    lines.append(f"{manifest['rows']:,} posts in {folder.path(ROWS_FILE)}; left out: {out}")
    lines.append(f"cost: ${manifest['cost']['dollars']:,.2f} in all. {manifest['terms']['sentence']}")
    if any(account["state"] == PARTIAL for account in accounts.values()):
        lines.append("a ceiling is reached: to read more, type the same command with a higher --cap")
    return lines
