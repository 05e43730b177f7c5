"""Reads accounts' timelines page by page. Each page is a file; a command resumes after the last one."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tweetelm.collection.accounts import (
    DONE,
    FORBIDDEN,
    MISSING,
    OPEN,
    Account,
    forget_users,
    look_up,
    state_of,
)
from tweetelm.collection.folder import Folder
from tweetelm.collection.ledger import CeilingError
from tweetelm.collection.posts import REPLY, Post, from_v2
from tweetelm.collection.settings import REACH, Settings
from tweetelm.collection.x_api import KEPT, MalformedError, RefusedError, XApi, objects

LARGEST, SMALLEST = 100, 5  # posts of a page; X allows nothing else
MOST_PAGES = REACH // SMALLEST  # of an account; pages may be empty and name a next one
FIELDS = "created_at,lang,note_tweet,referenced_tweets,in_reply_to_user_id,scopes"


def collect(api: XApi, folder: Folder, settings: Settings) -> list[Account]:
    """Read all timelines, as far as the ceilings allow; an account that was not read to its end stays `open`.

    Raises:
        ValueError: the API refused the token or a request.
        ConnectionError: the API failed repeatedly.
    """
    accounts = look_up(api, folder, settings.accounts)
    while turn := _next_turn(accounts, settings.reach, api.ledger.room()):
        account, size = turn
        try:
            _read_page(api, account, size, settings)
        except CeilingError:  # lost answers left no room to ask for as much again; a smaller page may fit
            continue
        newest = account.pages[-1]
        api.say(
            f"@{account.name} page {len(account.pages)}: {newest['posts_read']} posts, "
            f"{len(newest['posts'])} kept; {api.ledger.posts:,} read in all"
        )
    if not any(account.state == OPEN for account in accounts):
        forget_users(folder)
    return accounts


def _next_turn(accounts: Sequence[Account], reach: int, room: int) -> tuple[Account, int] | None:
    """The account with the fewest pages and the size of its next page, so that a ceiling hits all alike."""
    turns: list[tuple[Account, int]] = []
    for account in accounts:
        ended = reach - account.read < SMALLEST or len(account.pages) >= MOST_PAGES
        if account.state == OPEN and ended:
            account.state = DONE
        elif account.state == OPEN and account.user:
            turns.append((account, page_size(reach - account.read, room)))
    return min((turn for turn in turns if turn[1]), key=lambda turn: len(turn[0].pages), default=None)


def page_size(wanted: int, room: int) -> int:
    """Posts of the next page: `wanted` in few pages of 5 to 100, never more than `room`; 0 if impossible."""
    most = min(wanted, room)
    if most < SMALLEST:
        return 0
    size = min(most, LARGEST)
    left = most - size
    return size - (SMALLEST - left) if 0 < left < SMALLEST else size


def _read_page(api: XApi, account: Account, size: int, settings: Settings) -> None:
    """Read the next page and store it. After an expired pagination token, continue from the last id."""
    answer = f"{account.folder}/{len(account.pages)}.json"
    for by_id in (False, True):
        params = _params(account, size, settings, by_id=by_id)
        try:
            page = api.get(
                f"/2/users/{account.user}/tweets",
                params,
                lambda found: _page(found, account.name, settings.replies),
                answer=answer,
                posts=size,
            )
        except RefusedError as error:
            if error.status == 400 and "pagination_token" in params and "pagination_token" in error.detail:
                api.say(f"@{account.name}: the pagination token expired; going on by the id of the last post")
                continue
            page = _refused_page(error)
            api.say(f"@{account.name} cannot be read ({error.status}: {error.detail})")
            api.ledger.folder.write(answer, page)
        account.add(page)
        return
    raise ValueError(f"the X API refused to go on with @{account.name}; {KEPT}")


def _params(account: Account, size: int, settings: Settings, *, by_id: bool) -> dict[str, str]:
    params = {
        "max_results": str(size),
        "tweet.fields": FIELDS,
        "exclude": "retweets" if settings.replies else "retweets,replies",
    }
    params |= {"start_time": settings.since} if settings.since else {}
    params |= {"end_time": settings.until} if settings.until else {}
    token = account.pages[-1]["next_token"] if account.pages else ""
    oldest = [page["oldest_id"] for page in account.pages if page["oldest_id"]]
    if not by_id:
        return params | ({"pagination_token": token} if token else {})
    return params | ({"until_id": min(oldest, key=int)} if oldest else {})


def _page(found: dict[str, Any], name: str, replies: bool) -> dict[str, Any]:
    """What is kept of a page. Raises MalformedError if it is not a page."""
    raw, meta, errors = objects(found, "data"), found.get("meta"), objects(found, "errors")
    if errors and not raw and not isinstance(meta, dict):
        return new_page([], state=state_of(errors[0]))
    if not isinstance(meta, dict) or meta.get("result_count", len(raw)) != len(raw):
        raise MalformedError(f"{len(raw)} posts, and `meta` has another count")
    try:
        posts = [from_v2(each, name) for each in raw]
    except ValueError as error:
        raise MalformedError(str(error)) from error
    token = str(meta.get("next_token") or "")
    return new_page(posts, replies=replies, token=token, state=OPEN if token else DONE)


def _refused_page(error: RefusedError) -> dict[str, Any]:
    """An empty page for an account that cannot be read. Raises the error if it is not about the account."""
    if error.status not in (403, 404):
        raise error
    return new_page([], state=MISSING if error.status == 404 else FORBIDDEN)


def new_page(
    posts: Sequence[Post], *, state: str, replies: bool = False, token: str = "", read: int | None = None
) -> dict[str, Any]:
    """The content of a page file: the kept columns, and counts of what was left out by reason.

    Args:
        posts: all posts that were read.
        state: state of the account after this page.
        replies: whether replies are kept.
        token: X's token of the next page.
        read: posts that X counts as read. Default: all.
    """
    kept, out = [], Counter[str]()
    for post in posts:
        if post.reason and not (replies and post.reason == REPLY):
            out[post.reason] += 1
        else:
            kept.append(post.columns())
    return {
        "posts_read": len(posts) if read is None else read,
        "posts": kept,
        "left_out": dict(out),
        "oldest_id": min((post.id for post in posts), key=int, default=""),
        "next_token": token,
        "state": state,
    }
