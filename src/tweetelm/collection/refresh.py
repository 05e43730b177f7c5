"""Asks the API which posts still exist, and removes the others from a collection."""

from collections import Counter
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from typing import Any

from tweetelm.collection.accounts import MISSING, state_of
from tweetelm.collection.folder import PAGES, REFRESH, REFRESHED, Folder
from tweetelm.collection.ledger import CeilingError
from tweetelm.collection.x_api import MalformedError, XApi, objects
from tweetelm.files import object_storage

AT_ONCE = 100  # posts of a request
PLAN = f"{REFRESH}/ids.json"
DELETED = "deleted"


def remaining(folder: Folder, ids: Sequence[str]) -> list[str]:
    """The ids that are still to be asked; those of an interrupted refresh if there was one."""
    plan = folder.read(PLAN)
    if plan is None or plan["complete"]:
        return list(ids)
    return list(plan["ids"])[AT_ONCE * len(folder.numbered(REFRESH)) :]


def _plan(folder: Folder, ids: Sequence[str]) -> dict[str, Any]:
    """The plan of an interrupted refresh, or a new one. Removes what a complete refresh left."""
    plan = folder.read(PLAN)
    if plan is not None and plan["complete"]:
        end(folder)
        plan = None
    if plan is None:
        plan = {"ids": list(ids), "number": len(_runs(folder)), "complete": False}
        folder.write(PLAN, plan)
    return plan


def refresh(api: XApi, folder: Folder, ids: Sequence[str]) -> dict[str, int]:
    """Remove deleted, protected and suspended posts from every page file.

    The answers of an interrupted refresh are used. The caller writes the rows again, then calls `end`. If it
    is killed before, the next refresh does the same again, without requests.

    Returns:
        The removed posts by reason: deleted, protected, suspended, forbidden.

    Raises:
        ValueError: the cap is too low for all ids; nothing was asked.
    """
    _check_room(api, folder, ids)
    plan = _plan(folder, ids)
    answers = folder.numbered(REFRESH)
    for number in range(len(answers), -(-len(plan["ids"]) // AT_ONCE)):
        answers.append(_ask(api, number, plan["ids"][number * AT_ONCE : (number + 1) * AT_ONCE]))
    gone = {id: reason for answer in answers for id, reason in answer["gone"].items()}
    _remove(folder, gone.keys())
    removed = dict(sorted(Counter(gone.values()).items()))
    entry = {"date": datetime.now(UTC).date().isoformat(), "asked": len(plan["ids"]), "removed": removed}
    folder.write(REFRESHED, {"runs": [*_runs(folder)[: plan["number"]], entry]})
    return removed


def _check_room(api: XApi, folder: Folder, ids: Sequence[str]) -> None:
    ledger, needed = api.ledger, len(remaining(folder, ids))
    if needed > ledger.room():
        money = ledger.ceilings.cost(ledger.posts + needed, ledger.counts["users"])
        raise ValueError(
            f"the refresh asks for {needed:,} posts, and the ceilings leave {ledger.room():,} of them; type "
            f"--cap {ledger.posts + needed} and, if you set it, --max-dollars {money:.2f}"
        )


def _ask(api: XApi, number: int, ids: Sequence[str]) -> dict[str, Any]:
    try:
        return api.get(
            "/2/tweets",
            {"ids": ",".join(ids)},
            lambda found: _gone(found, ids),
            answer=f"{REFRESH}/{number}.json",
            posts=len(ids),
        )
    except CeilingError as error:
        raise ValueError(
            f"repeated requests reached the cap after {api.ledger.posts:,} posts; type a higher --cap"
        ) from error


def _gone(found: dict[str, Any], ids: Sequence[str]) -> dict[str, Any]:
    """The ids that X does not show any more. Raises MalformedError if it says nothing about an id."""
    there = {str(post.get("id")) for post in objects(found, "data")}
    errors = {
        str(error.get("resource_id") or error.get("value")): error for error in objects(found, "errors")
    }
    gone = {}
    for each in ids:
        if each in there:
            continue
        if each not in errors:
            raise MalformedError(f"nothing about the post {each}")
        state = state_of(errors[each])
        gone[each] = DELETED if state == MISSING else state
    return {"posts_read": len(there), "gone": gone}


def _remove(folder: Folder, ids: Set[str]) -> None:
    """Remove posts from the page files."""
    for name in folder.names(PAGES):
        page = folder.read(name)
        if page is not None and any(post["id"] in ids for post in page["posts"]):
            left = [post for post in page["posts"] if post["id"] not in ids]
            oldest = page["oldest_id"]  # reading may go on below it
            kept = str(int(oldest) + 1) if oldest in ids else oldest
            folder.write(name, {**page, "posts": left, "oldest_id": kept})


def _runs(folder: Folder) -> list[dict[str, Any]]:
    """The complete refreshes."""
    return list((folder.read(REFRESHED) or {"runs": []})["runs"])


def end(folder: Folder) -> None:
    """Remove the answers of a complete refresh; the list of ids is last."""
    folder.write(PLAN, {"ids": [], "number": 0, "complete": True})
    for name in sorted(folder.names(REFRESH), key=lambda name: name == PLAN):
        object_storage.delete(folder.path(name))
