"""Decodes HTML references and R's `<U+XXXX>` escapes."""

import html
import re

REACH = 40  # maximum length of a reference or escape; the longest HTML5 name has 32 characters
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
_ESCAPE = re.compile(r"<U\+([0-9A-Fa-f]{4,8})>")
_ENDS = ("", "\t", "\n", "\f", " ", "<", "&", ";")  # no reference begins with `&` and one of these
_OPENING = re.compile(r"[&<]")


def decode(text: str) -> str:
    """Decode HTML references and `<U+XXXX>` escapes, including nested ones, in one pass.

    The pass goes from right to left, so that the text after an `&` or `<` is already decoded. Nested
    references such as `&amp;amp;amp;…` then take linear time; repeated passes from the left would take
    quadratic time.
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
    """Decode a reference or escape at the start of `done` (last character first); False if there is none."""
    follows = done[-2] if len(done) > 1 else ""
    if follows != "U" if done[-1] == "<" else follows in _ENDS:  # avoids the regular expressions below
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
