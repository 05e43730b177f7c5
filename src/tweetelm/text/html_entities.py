"""HTML references and R's `<U+XXXX>` escapes, decoded."""

import html
import re

REACH = 40  # characters after `&` or `<` that belong to it; the longest HTML5 name has 32
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
_ESCAPE = re.compile(r"<U\+([0-9A-Fa-f]{4,8})>")
_ENDS = ("", "\t", "\n", "\f", " ", "<", "&", ";")  # no reference begins with `&` and one of these
_OPENING = re.compile(r"[&<]")


def decode(text: str) -> str:
    """Decode HTML references and `<U+XXXX>` escapes, nested ones too, in one sweep.

    From right to left: what follows an `&` or `<` is decoded by the time it is reached, so `&amp;amp;amp;…`
    costs linear time, where sweeping from the left until nothing changes would cost quadratic time.
    """
    starts = [m.start() for m in _OPENING.finditer(text)]
    if not starts:
        return text
    done: list[str] = []  # the decoded rest of the text, last character first
    end = len(text)
    for start in reversed(starts):
        done.extend(reversed(text[start:end]))
        while done and done[-1] in "&<" and _decode_head(done):
            pass
        end = start
    done.extend(reversed(text[:end]))
    return "".join(reversed(done))


def _decode_head(done: list[str]) -> bool:
    """Decode the reference or escape that `done` (last character first) begins with, if it does."""
    follows = done[-2] if len(done) > 1 else ""
    if follows != "U" if done[-1] == "<" else follows in _ENDS:  # spares thousands of `<` or `&` a match
        return False
    head = "".join(reversed(done[-REACH:]))
    if escape := _ESCAPE.match(head):
        end, plain = escape.end(), _character(int(escape[1], 16))
    elif reference := _REFERENCE.match(head):
        end, plain = reference.end(), html.unescape(reference[0])
        if plain == reference[0]:
            return False
    else:
        return False
    del done[-end:]
    done.extend(reversed(plain))
    return True


def _character(code: int) -> str:
    return chr(code) if code <= 0x10FFFF else "\ufffd"
