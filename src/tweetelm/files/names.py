"""Names that are safe in paths, URLs and terminals; escapes text of files for terminals."""

import re

LONGEST = 100  # bytes of a user's name; file systems allow 255, and suffixes are appended to some names
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)  # control characters, line separators, changes of text direction, and surrogates


def check_name(name: str, what: str, longest: int = LONGEST) -> None:
    """Check a name. `what` describes it in the message.

    Raises:
        ValueError: the name is empty, longer than `longest` bytes, does not start with an ASCII letter or
            digit, or contains characters other than ASCII letters, digits, `.`, `_` and `-`.
    """
    if len(name.encode("utf-8", "surrogatepass")) > longest:
        raise ValueError(
            f"{what} is '{printable(name[:40])}…', {len(name)} characters; expected at most {longest}"
        )
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{what} is '{printable(name)}'; expected ASCII letters, digits, '.', '_' and '-', and a "
            "letter or digit first, such as hate-270m_v2"
        )


def is_name(text: str) -> bool:
    """Whether `check_name` accepts a text."""
    return _NAME.fullmatch(text) is not None and len(text) <= LONGEST


def safe_name(text: str) -> str:
    """A valid name (see `check_name`) made from any text; valid names of up to 60 characters are kept."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:60].lstrip("._-")
    return kept or "model"


def printable(text: object) -> str:
    """Text with characters escaped that could control a terminal or fake a line of output."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text))


def is_printable(text: str) -> bool:
    """Whether `printable` leaves the text unchanged."""
    return _UNSAFE.search(text) is None
