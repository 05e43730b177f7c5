"""The accounts of a collection: looked up at X once, then known by their files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tweetelm.collection.folder import PAGES, USERS, Folder
from tweetelm.collection.ledger import CeilingError
from tweetelm.collection.posts import post_id
from tweetelm.collection.x_api import MalformedError, XApi, objects

AT_ONCE = 100  # users of a request
OPEN, DONE = "open", "done"
MISSING, PROTECTED, SUSPENDED, FORBIDDEN = "missing", "protected", "suspended", "forbidden"


@dataclass
class Account:
    """An account and the pages of it that were read.

    Attributes:
        name: screen name as X spells it, or as typed if X does not know it.
        user: X's id of the account; "" before the lookup, and when it is not needed any more.
        state: `open` while there may be more to read.
        pages: the content of each page file.
    """

    name: str
    user: str = ""
    state: str = OPEN
    pages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """The folder of the pages."""
        return f"{PAGES}/{self.name.lower()}"

    @property
    def read(self) -> int:
        """Number of posts read, kept or not."""
        return sum(page["posts_read"] for page in self.pages)

    @property
    def kept(self) -> int:
        """Posts kept."""
        return sum(len(page["posts"]) for page in self.pages)

    def add(self, page: dict[str, Any]) -> None:
        """Add the next page."""
        self.pages.append(page)
        self.state = page["state"]


def load_accounts(folder: Folder, names: Sequence[str] = ()) -> list[Account]:
    """The accounts that were looked up, with the pages that were read; then the others of `names`."""
    known = [Account(**each) for users in folder.numbered(USERS) for each in users["accounts"]]
    for account in known:
        for page in folder.numbered(account.folder):
            account.add(page)
    looked_up = {account.name.lower() for account in known}
    return known + [Account(name) for name in names if name.lower() not in looked_up]


def look_up(api: XApi, folder: Folder, names: Sequence[str]) -> list[Account]:
    """Find X's ids of the accounts, 100 at once, as far as the ceilings allow.

    Those that an earlier command found are not asked for again.
    """
    batches = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
    try:
        for number in range(len(folder.numbered(USERS)), len(batches)):
            _ask(api, number, batches[number])
    except CeilingError:
        api.say("the ceiling is reached before all accounts are looked up")
    return load_accounts(folder, names)


def _ask(api: XApi, number: int, wanted: Sequence[str]) -> None:
    api.get(
        "/2/users/by",
        {"usernames": ",".join(wanted), "user.fields": "protected"},
        lambda found: _users(found, wanted),
        answer=f"{USERS}/{number}.json",
        users=len(wanted),
    )


def _users(found: dict[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
    """What is kept of a lookup. Raises MalformedError if an account is neither found nor explained."""
    known = {str(user.get("username", "")).lower(): user for user in objects(found, "data")}
    missing = {str(error.get("value", "")).lower(): error for error in objects(found, "errors")}
    accounts = []
    for name in wanted:
        if (user := known.get(name.lower())) is not None:
            state = PROTECTED if user.get("protected") else OPEN
            accounts.append({"name": user["username"], "user": _user_id(user), "state": state})
        elif (error := missing.get(name.lower())) is not None:
            accounts.append({"name": name, "user": "", "state": state_of(error)})
        else:
            raise MalformedError(f"nothing about @{name}")
    return {"users_read": len(known), "accounts": accounts}


def _user_id(user: dict[str, Any]) -> str:
    try:
        return post_id(user.get("id"))
    except ValueError as error:
        raise MalformedError(f"a user without an id: {error}") from error


def state_of(error: dict[str, Any]) -> str:
    """The state of an account or a post by an error of the API."""
    title, detail = str(error.get("title", "")), str(error.get("detail", ""))
    if "suspend" in detail.lower():
        return SUSPENDED
    if title == "Not Found Error":
        return MISSING
    return PROTECTED if title == "Authorization Error" else FORBIDDEN


def forget_users(folder: Folder) -> None:
    """Remove X's ids of the accounts, which no request needs any more."""
    for number, users in enumerate(folder.numbered(USERS)):
        if any(each["user"] for each in users["accounts"]):
            accounts = [{**each, "user": ""} for each in users["accounts"]]
            folder.write(f"{USERS}/{number}.json", {**users, "accounts": accounts})


def left_out(accounts: Sequence[Account]) -> dict[str, int]:
    """Posts left out, by reason."""
    total: Counter[str] = Counter()
    for account in accounts:
        for page in account.pages:
            total.update(page["left_out"])
    return dict(sorted(total.items()))
