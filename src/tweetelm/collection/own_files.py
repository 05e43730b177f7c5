"""Reads tweets from files: X's account archive, JSON lines of the API, and tables."""

import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tweetelm.collection.accounts import DONE, Account
from tweetelm.collection.folder import USERS, Folder
from tweetelm.collection.posts import CUT, Post, as_object, from_text, from_v1, from_v2, is_v2, objects
from tweetelm.collection.settings import Settings, screen_names
from tweetelm.collection.timelines import new_page
from tweetelm.data.tables import is_table, table_rows
from tweetelm.data.text_file import content, decoded
from tweetelm.files.hashing import sha256

WINDOW, LIMIT = "window", "max_posts"  # further reasons to leave a post out
_PREFIX = re.compile(r"\s*window\.YTD\.\w+\.part\d+\s*=")
_TWEETS = re.compile(r"(?:.*/)?(?:tweets|tweet)(?:-part\d+)?\.js")
_NOTES = re.compile(r"(?:.*/)?note-tweet(?:-part\d+)?\.js")
_ACCOUNT = re.compile(r"(?:.*/)?account\.js")
_CUT_OFF = re.compile(r"…(?:\s*https://t\.co/\w+)*\s*$")
_LONG = 240  # an archive cuts long posts at about 280 characters
_LINES = re.compile(r".*\.(?:jsonl|ndjson|json)(?:\.(?:gz|bz2|zst))?", re.IGNORECASE)
EXPECTED = "X's account archive (.zip), its tweets.js, JSON lines (.jsonl), CSV, TSV or Parquet"


def fingerprints(files: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Name and sha256 of each file.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: two files have the same name.
    """
    found: dict[str, str] = {}
    for file in files:
        path = Path(file).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; name {EXPECTED} with --from")
        if path.name in found:
            raise ValueError(f"--from names two files that are called {path.name}; rename one of them")
        found[path.name] = sha256(path)
    return tuple(sorted(found.items()))


def collect_files(folder: Folder, files: Sequence[str], settings: Settings) -> list[Account]:
    """Store the tweets of the files as one page per account.

    Raises:
        ValueError: a file is malformed; the message names the place.
    """
    found: dict[str, dict[str, Post]] = defaultdict(dict)
    for file in files:
        for post in _read(Path(file).expanduser(), settings):
            found[post.screen_name.lower()][post.id] = post
    wanted = [name.lower() for name in settings.accounts] or sorted(found)
    accounts = [_store(folder, list(found[name].values()), settings) for name in wanted if name in found]
    users = [{"name": each.name, "user": "", "state": DONE} for each in accounts]
    folder.write(f"{USERS}/0.json", {"users_read": 0, "accounts": users})
    return accounts


def _store(folder: Folder, posts: list[Post], settings: Settings) -> Account:
    """Write the page of an account, with the newest `max_posts` posts of the window."""
    account = Account(posts[0].screen_name, state=DONE)
    inside = [post for post in posts if _inside(post, settings)]
    inside.sort(key=lambda post: int(post.id), reverse=True)
    page = new_page(inside, state=DONE, replies=settings.replies, read=len(posts))
    left_out = Counter(page["left_out"]) + Counter({WINDOW: len(posts) - len(inside)})
    if settings.max_posts is not None:
        left_out += Counter({LIMIT: max(0, len(page["posts"]) - settings.max_posts)})
        page["posts"] = page["posts"][: settings.max_posts]
    folder.write(f"{account.folder}/0.json", {**page, "left_out": dict(left_out)})
    account.add({**page, "left_out": dict(left_out)})
    return account


def _inside(post: Post, settings: Settings) -> bool:
    if not (settings.since or settings.until):
        return True
    if not post.created_at:
        raise ValueError(
            f"the post {post.id} has no time, which --since and --until need; expected a column created_at"
        )
    return post.created_at >= settings.since and not (settings.until and post.created_at >= settings.until)


def _read(path: Path, settings: Settings) -> Iterator[Post]:
    """The posts of a file, with those to leave out."""
    if path.suffix.lower() in (".zip", ".js"):
        yield from _archive(path, settings)
        return
    if not is_table(path):
        raise ValueError(f"the format of {path} is unknown; expected {EXPECTED}")
    text, author, id_ = settings.columns
    json_lines = _LINES.fullmatch(path.name) is not None
    for position, row in table_rows(path, () if json_lines else (text, author, id_)):
        try:
            yield from _from_object(row, settings) if json_lines else [_from_row(row, settings)]
        except ValueError as error:
            raise ValueError(f"{position}: {error}") from error


def _from_row(row: Mapping[str, Any], settings: Settings) -> Post:
    text, author, id_ = settings.columns
    return from_text(
        row[text],
        id=str(row[id_]).strip(),
        screen_name=_author(str(row[author]), settings),
        created_at=row.get("created_at"),
        lang=row.get("lang"),
    )


def _from_object(row: Mapping[str, Any], settings: Settings) -> Iterator[Post]:
    """The posts of a line: a post of the API v2 or 1.1, or a whole answer of the API v2."""
    users = {user.get("id"): user for user in objects(as_object(row.get("includes")).get("users"))}
    data = row.get("data", row)
    for raw in data if isinstance(data, list) else [data]:
        if not isinstance(raw, Mapping):
            raise ValueError(f"a post is {raw!r}; expected an object")
        post = as_object(raw.get("tweet", raw))
        user = as_object(post.get("user") or post.get("author") or users.get(str(post.get("author_id"))))
        name = _author(str(user.get("screen_name") or user.get("username") or ""), settings)
        yield from_v2(post, name) if is_v2(post) else from_v1(post, name)


def _author(name: str, settings: Settings) -> str:
    """The account of a post, checked; the account of the command if the file does not name it."""
    if found := screen_names([name], None):
        return found[0]
    if len(settings.accounts) != 1:
        raise ValueError("the post has no author; name its account, as in --accounts nasa")
    return settings.accounts[0]


def _archive(path: Path, settings: Settings) -> Iterator[Post]:
    """The posts of an account archive, or of its tweets.js alone."""
    members = _members(path)
    tweets = [each for name in sorted(members) if _TWEETS.fullmatch(name) for each in members[name]]
    if not any(_TWEETS.fullmatch(name) for name in members):
        raise ValueError(f"{path} has no data/tweets.js; expected the archive that X sends, or its tweets.js")
    owners = [each for name in members if _ACCOUNT.fullmatch(name) for each in members[name]]
    notes = [each for name in members if _NOTES.fullmatch(name) for each in members[name]]
    cores = [as_object(as_object(each.get("noteTweet")).get("core")) for each in notes]
    texts = [str(core.get("text", "")) for core in cores]
    for number, each in enumerate(tweets):
        try:
            owner = as_object(owners[0].get("account")).get("username", "") if owners else ""
            post = from_v1(as_object(each.get("tweet", each)), _author(str(owner), settings))
            yield _whole(post, texts)
        except ValueError as error:
            raise ValueError(f"{path}, tweet {number}: {error}") from error


def _whole(post: Post, notes: Sequence[str]) -> Post:
    """A post with its full text: an archive cuts long posts, and has the full texts in another file."""
    cut = _CUT_OFF.search(post.text)
    if post.reason or cut is None or len(post.text) < _LONG:
        return post
    whole = [note for note in notes if note.startswith(post.text[: cut.start()])]
    values = post.columns() | ({"text": whole[0]} if whole else {})
    return Post(**values, reason="" if len(whole) == 1 else CUT)


def _members(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The objects in the files of an archive that have tweets or the account's name."""
    if path.suffix.lower() != ".zip":
        return {"tweets.js": _objects(content(path), path)}
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if any(pattern.fullmatch(name) for pattern in (_TWEETS, _NOTES, _ACCOUNT)):
                    found[name] = _objects(decoded(archive.read(name), path / name), path / name)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged ({error}); download the archive again") from error
    return found


def _objects(text: str, place: Path) -> list[dict[str, Any]]:
    """The list in a JavaScript file of an archive: `window.YTD.tweets.part0 = […]`."""
    prefix = _PREFIX.match(text)
    try:
        found = json.loads(text[prefix.end() if prefix else 0 :].strip().removesuffix(";"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place} is damaged (not JSON: {error}); download the archive again") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{place} has no list of objects; expected X's file with window.YTD.… = [ … ]")
    return found
