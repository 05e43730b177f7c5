"""Posts: the five columns that are kept, and why a post is left out.

Reads posts of the X API v2, of its version 1.1, and of X's account archive, which has the format of 1.1.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

COLUMNS = ("id", "created_at", "lang", "screen_name", "text")
RETWEET, QUOTE, REPLY, PROMOTED, CUT, EMPTY = "retweet", "quote", "reply", "promoted", "cut", "empty"
_STATUS = re.compile(r"https?://(?:mobile\.|www\.)?(?:twitter|x)\.com/\w+/status(?:es)?/\d+")
_V1_DATE = "%a %b %d %H:%M:%S %z %Y"
_ID = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, kw_only=True)
class Post:
    """A post with its kept columns.

    Attributes:
        id: number of the post, as text.
        created_at: time in UTC, as 2026-03-01T12:00:00Z; "" if unknown.
        lang: language tag of X; "" if unknown.
        screen_name: name of the account without `@`.
        text: the full text, HTML references decoded once, t.co links kept.
        reason: why the post is left out; "" for an original post.
    """

    id: str
    created_at: str
    lang: str
    screen_name: str
    text: str
    reason: str = ""

    def columns(self) -> dict[str, str]:
        """The kept columns."""
        return {name: getattr(self, name) for name in COLUMNS}


def is_v2(raw: Mapping[str, Any]) -> bool:
    """Whether a JSON object is a post of the API v2; else it is taken for one of version 1.1."""
    return "text" in raw and not {"id_str", "full_text", "user", "truncated"} & raw.keys()


def from_v2(raw: Mapping[str, Any], screen_name: str) -> Post:
    """A post of the API v2.

    Raises:
        ValueError: it has no id or no text, or its date is malformed.
    """
    kinds = {each.get("type") for each in objects(raw.get("referenced_tweets"))}
    note = as_object(raw.get("note_tweet"))
    text = plain(note.get("text") or raw.get("text"))
    reason = _reason(
        text,
        retweet="retweeted" in kinds,
        quote="quoted" in kinds,
        reply="replied_to" in kinds or bool(raw.get("in_reply_to_user_id")),
        promoted=_is_promoted(raw),
    )
    return Post(
        id=post_id(raw.get("id")),
        created_at=iso(raw.get("created_at")),
        lang=str(raw.get("lang") or ""),
        screen_name=screen_name,
        text=text,
        reason=reason,
    )


def from_v1(raw: Mapping[str, Any], screen_name: str) -> Post:
    """A post of the API 1.1 or of an account archive.

    Raises:
        ValueError: it has no id or no text, or its date is malformed.
    """
    longer = as_object(raw.get("extended_tweet"))
    full = longer.get("full_text") or raw.get("full_text")
    text = plain(full or raw.get("text"))
    reason = _reason(
        text,
        retweet="retweeted_status" in raw,
        quote=bool(raw.get("is_quote_status") or raw.get("quoted_status_id_str")) or _links_a_post(raw),
        reply=any(raw.get(f"in_reply_to_{key}") for key in ("status_id_str", "status_id", "user_id_str")),
        promoted=_is_promoted(raw),
    )
    return Post(
        id=post_id(raw.get("id_str") or raw.get("id")),
        created_at=iso(raw.get("created_at")),
        lang=str(raw.get("lang") or ""),
        screen_name=screen_name,
        text=text,
        reason=reason or (CUT if raw.get("truncated") and not full else ""),
    )


def from_text(text: object, *, id: object, screen_name: str, created_at: object, lang: object) -> Post:
    """A post of a table, of which only the text shows what it is.

    Raises:
        ValueError: it has no id or no text, or its date is malformed.
    """
    clean = plain(text)
    reason = _reason(clean, retweet=False, quote=False, reply=False, promoted=False)
    return Post(
        id=post_id(id),
        created_at=iso(created_at),
        lang=str(lang or ""),
        screen_name=screen_name,
        text=clean,
        reason=reason,
    )


def plain(text: object) -> str:
    """The text with HTML references decoded once, as X encodes `&`, `<` and `>` once.

    Unpaired surrogates become U+FFFD, NUL characters are removed, and newlines are LF.

    Raises:
        ValueError: it is not a text.
    """
    if not isinstance(text, str):
        raise ValueError(f"the text is {text!r}; expected a string")
    valid = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return html.unescape(valid).replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")


def post_id(value: object) -> str:
    """The id of a post as text. Raises ValueError if it is not one."""
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not _ID.fullmatch(text):
        raise ValueError(f"the id of the post is {value!r}; expected a whole number")
    return text


def iso(value: object) -> str:
    """A time of X in UTC, as 2026-03-01T12:00:00Z; "" if there is none. Raises ValueError if malformed."""
    if value is None or value == "":
        return ""
    text = str(value).strip()
    try:
        when = datetime.fromisoformat(text) if text[:1].isdigit() else datetime.strptime(text, _V1_DATE)
    except ValueError as error:
        raise ValueError(f"the time is {text!r}; expected 2026-03-01T12:00:00Z") from error
    known = when if when.tzinfo else when.replace(tzinfo=UTC)
    return known.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_object(value: object) -> Mapping[str, Any]:
    """A JSON object; anything else counts as absent."""
    return value if isinstance(value, Mapping) else {}


def objects(value: object) -> list[Mapping[str, Any]]:
    """The JSON objects in a list; anything else counts as absent."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _reason(text: str, *, retweet: bool, quote: bool, reply: bool, promoted: bool) -> str:
    """The first reason to leave a post out; a reply is left out by choice, so it comes last."""
    if retweet or text.startswith("RT @"):
        return RETWEET
    if quote:
        return QUOTE
    if promoted:
        return PROMOTED
    if not text.strip():
        return EMPTY
    return REPLY if reply else ""


def _is_promoted(raw: Mapping[str, Any]) -> bool:
    """Whether the post is an advertisement that is not on the account's timeline."""
    return as_object(raw.get("scopes")).get("followers") is False


def _links_a_post(raw: Mapping[str, Any]) -> bool:
    """Whether the post links another post. In an archive, this is the only sign of a quote."""
    links = objects(as_object(raw.get("entities")).get("urls"))
    return any(_STATUS.match(str(link.get("expanded_url") or "")) for link in links)
