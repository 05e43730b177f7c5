"""The settings of a collection, which its folder keeps: another command on it must have the same."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tweetelm.collection.folder import SETTINGS, Folder
from tweetelm.config.overrides import difference
from tweetelm.data.text_file import content
from tweetelm.files.names import printable

_NAME = re.compile(r"[A-Za-z0-9_]{1,15}")
REACH, REACH_WITHOUT_REPLIES = 3200, 800  # newest posts of an account that the X API gives


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is collected.

    Attributes:
        source: URL of the API, or "files".
        accounts: screen names as typed, without `@`.
        files: path and sha256 of each file.
        columns: names of the columns of tables: text, author, id.
        max_posts: most posts per account; None: as many as there are.
        since: first time, as 2026-03-01T00:00:00Z; "": no limit.
        until: time before which posts were written; "": no limit.
        replies: whether replies are kept.
    """

    source: str
    accounts: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    max_posts: int | None = None
    since: str = ""
    until: str = ""
    replies: bool = False

    @property
    def reach(self) -> int:
        """Most posts to read per account of the API."""
        most = REACH if self.replies else REACH_WITHOUT_REPLIES
        return most if self.max_posts is None else min(self.max_posts, most)

    def document(self) -> dict[str, object]:
        """The settings as JSON."""
        found = asdict(self) | {"accounts": list(self.accounts), "columns": list(self.columns)}
        return found | {"files": dict(self.files)}


def claim(folder: Folder, settings: Settings) -> None:
    """Store the settings in a new folder, or check that they are those of the folder.

    Raises:
        ValueError: the folder has a collection with other settings.
    """
    if not check(folder, settings):
        folder.write(SETTINGS, settings.document())


def check(folder: Folder, settings: Settings) -> bool:
    """Check that a collection in the folder has these settings; returns False if there is none.

    Raises:
        ValueError: it has other settings.
    """
    found = folder.read(SETTINGS)
    if found is None:
        return False
    if changes := difference(found, settings.document()):
        raise ValueError(
            f"{folder.place} has a collection with other settings:\n  "
            + "\n  ".join(printable(change) for change in changes)
            + "\nType the settings of that collection, or choose another folder with --out"
        )
    return True


def stored(folder: Folder) -> Settings:
    """The settings of the folder's collection.

    Raises:
        FileNotFoundError: there is none.
    """
    found = folder.read(SETTINGS)
    if found is None:
        raise FileNotFoundError(f"{folder.place} has no collection; name its folder with --out")
    lists = {"accounts": tuple(found["accounts"]), "columns": tuple(found["columns"])}
    return Settings(**{**found, **lists, "files": tuple(sorted(found["files"].items()))})


def screen_names(typed: Iterable[str], file: Path | None) -> tuple[str, ...]:
    """The accounts to collect, each once, without `@`; X ignores case in names.

    Args:
        typed: names from the command line.
        file: a file with one name a line; blank lines and lines with `#` are skipped.

    Raises:
        ValueError: a name is invalid.
        FileNotFoundError: the file does not exist.
    """
    places = [("--accounts", name) for name in typed]
    if file is not None:
        lines = content(file, "name a file with one screen name a line", mark=True).splitlines()
        places += [(f"{file}, line {number}", line) for number, line in enumerate(lines, 1)]
    found: dict[str, str] = {}
    for place, line in places:
        name = line.strip().removeprefix("@")
        if not name or name.startswith("#"):
            continue
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{place}: {printable(name)[:60]!r} is no screen name of X; expected 1 to 15 ASCII letters, "
                "digits and underscores, such as @nasa"
            )
        found.setdefault(name.lower(), name)
    return tuple(found.values())


def moment(typed: str | None, flag: str) -> str:
    """A date or time as 2026-03-01T00:00:00Z; "" if none is given. A time without zone is UTC.

    Raises:
        ValueError: it is malformed.
    """
    if not typed:
        return ""
    try:
        when = datetime.fromisoformat(typed)
    except ValueError as error:
        raise ValueError(f"{flag} is {typed!r}; expected a date such as 2026-03-01") from error
    known = when if when.tzinfo else when.replace(tzinfo=UTC)
    return known.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
