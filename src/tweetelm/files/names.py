"""Names that are safe as a file's, in a URL and on a terminal; text of files as a terminal may show it."""

import re

LONGEST = 100  # bytes of a name that is typed; a file system takes 255, and more is appended to some
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)  # what moves a cursor, breaks a line, turns the direction of writing, or cannot be printed


def check_name(name: str, what: str, longest: int = LONGEST) -> None:
    """See that a name can be used.

    Raises:
        ValueError: it is empty, too long, or has other characters than ASCII letters, digits and `.`, `_`,
            `-`, of which the first must be a letter or a digit.
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


def safe_name(text: str) -> str:
    """A name as `check_name` wants it, made of any text; equal to the text if it is one already."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:60].lstrip("._-")
    return kept or "model"


def printable(text: object) -> str:
    """Text of a file without what would act on a terminal or forge a line: such characters are escaped."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text))


def is_printable(text: str) -> bool:
    """Whether nothing in it must be escaped."""
    return _UNSAFE.search(text) is None
