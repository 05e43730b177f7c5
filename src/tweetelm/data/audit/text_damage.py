"""Detects character damage in the published texts: entities, mojibake, escapes, written-out newlines."""

import html
import re
from collections.abc import Callable

_ESCAPE = re.compile(r"<U\+[0-9A-Fa-f]{4,8}>")
_WRITTEN_OUT_NEWLINE = re.compile(r"\\[rn]")
_CP1252 = {bytes([byte]).decode("cp1252", "replace"): byte for byte in range(0x80, 0x100)}
_BYTES = {
    chr(byte): byte for byte in range(0x80, 0x100)
} | _CP1252  # bytes without a Windows-1252 character map to themselves
_BYTES.pop("\ufffd")
_BYTE_RUN = re.compile(f"[{''.join(map(re.escape, _BYTES))}]{{2,}}")


def _has_entities(text: str) -> bool:
    return html.unescape(text) != text


def _has_mojibake(text: str) -> bool:
    """Whether the text contains UTF-8 that was decoded as Windows-1252 or Latin-1 (`Ã©` for `é`)."""
    return any(_is_utf8(bytes(_BYTES[character] for character in run)) for run in _BYTE_RUN.findall(text))


def _is_utf8(run: bytes) -> bool:
    try:
        run.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


DAMAGE: dict[str, Callable[[str], bool]] = {
    "HTML entities": _has_entities,
    "mojibake": _has_mojibake,
    "<U+XXXX> escapes": lambda text: bool(_ESCAPE.search(text)),
    "newlines written as \\n or \\r": lambda text: bool(_WRITTEN_OUT_NEWLINE.search(text)),
}
