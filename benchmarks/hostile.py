"""Hostile request bodies: JSON, texts and files of several kinds and sizes, for every route."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LIMIT = 2_000_000
SIZES = (1_000, 30_000, 300_000, LIMIT)
ROUTES = {
    "/v1/classify": "input",
    "/v1/moderations": "input",
    "/v1/words": "input",
    "/models/hate": "inputs",
    "/": "inputs",
    "/predict": "inputs",
}
"""JSON routes, each with the name of the field for the texts."""
FILE_ROUTE = "/v1/classify/file"

JSON: dict[str, tuple[str, str, str]] = {
    "numbers": ("[", "1,", "1]"),
    "lists": ("[", "[],", "[]]"),
    "objects": ("[", "{},", "{}]"),
    "texts": ("[", '"a",', '"a"]'),
    "pairs": ("[", '["a","b"],', '["a"]]'),
    "nulls": ("[", "null,", "null]"),
    "one field again and again": ("{", '"a":1,', '"b":1}'),
    "an open string of quotes": ('"', '\\"', ""),
    "escapes": ('"', "\\u0301", '"'),
    "half surrogates": ('"', "\\ud800", '"'),
    "brackets": ("", "[", ""),
    "objects in objects": ("", '{"a":', ""),
    "a long number": ("", "9", ""),
    "a long fraction": ("0.", "9", ""),
}
"""JSON values as (start, repeated part, end)."""
TEXTS: dict[str, tuple[str, str, str]] = {
    "marks": ("a", "\u0301\u0316", ""),
    "marks that decompose": ("a", "\u0344\u0f73", ""),
    "marks and references to marks": ("a", "\u0301&#x316;", ""),
    "Hangul jamo": ("", "\u1100\u1161\u11a8", ""),
    "entities": ("", "&amp;", ""),
    "references in references": ("&", "amp;", ""),
    "escapes": ("", "<U+003C>", ""),
    "emoji": ("", "👩\u200d👩\u200d👧", ""),
    "zero width": ("a", "\u200b", "b"),
    "letters and zero width": ("", "a\u200b", ""),
    "right to left": ("", "\u202e\u202b", "a"),
    "mentions": ("", "@a", ""),
    "one long link": ("https://", "a", ""),
    "space": ("a", " ", "b"),
    "lines": ("a", "\n", "b"),
    "one long word": ("", "a", ""),
    "mathematical": ("", "𝐛", ""),
    "ligatures": ("", "ﬃ", ""),
    "look-alikes": ("", "аb", ""),
    "leetspeak": ("", "h4", ""),
    "NUL": ("a", "\x00", "b"),
}
FILES: dict[str, tuple[str, bytes, bytes]] = {
    "newlines": ("text/plain", b"", b"\n"),
    "bytes that are no UTF-8": ("text/plain", b"", b"\xff\n"),
    "one line": ("text/plain", b"", b"a"),
    "numbers as JSON": ("application/x-ndjson", b"", b"[1]\n"),
    "lists as JSON": ("application/x-ndjson", b"", b"[" + b"[]," * 20_000 + b"[]]\n"),
    "an open quote": ("text/csv", b'text\n"', b"\n"),
    "empty rows": ("text/csv", b"text,more\n", b"\n"),
}
"""Files as (Content-Type, start, repeated part)."""


@dataclass(frozen=True)
class Hostile:
    """A hostile request."""

    kind: str
    route: str
    content_type: str
    body: bytes


def filled(parts: tuple[str, str, str], size: int, measure: Callable[[str], int] = len) -> str:
    """A value of at most about `size` units of `measure`, which counts characters by default."""
    start, middle, end = parts
    return start + middle * max(1, (size - measure(start + end)) // measure(middle)) + end


def quoted(text: str) -> int:
    """Number of bytes of a text as a JSON string, without the quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode()) - 2


def json_body(kind: str, size: int, field: str) -> bytes:
    """A JSON body of about `size` bytes with a hostile value in `field`."""
    return f'{{"{field}":{filled(JSON[kind], size - 20)}}}'.encode()


def text_body(kind: str, size: int, field: str, *, texts: int = 1) -> bytes:
    """A JSON body of about `size` bytes that has a hostile text in `field`, `texts` times."""
    each = [filled(TEXTS[kind], (size - 40) // texts - 4, quoted)] * texts
    return json.dumps({field: each if texts > 1 else each[0]}, ensure_ascii=False).encode()


def file_body(kind: str, size: int) -> bytes:
    """A hostile file of about `size` bytes."""
    _, start, middle = FILES[kind]
    return start + middle * max(1, (size - len(start)) // len(middle))


def bodies() -> Iterator[Hostile]:
    """An infinite sequence of every kind at every size, largest first, with the routes in turn."""
    makers: list[tuple[str, Callable[[int, str], bytes]]] = [
        *((f"JSON: {kind}", lambda size, field, kind=kind: json_body(kind, size, field)) for kind in JSON),
        *((f"text: {kind}", lambda size, field, kind=kind: text_body(kind, size, field)) for kind in TEXTS),
        *(
            (f"32 texts: {kind}", lambda size, field, kind=kind: text_body(kind, size, field, texts=32))
            for kind in TEXTS
        ),
    ]
    routes = itertools.cycle(ROUTES.items())
    for size in itertools.cycle(reversed(SIZES)):
        for kind in FILES:
            yield Hostile(f"file: {kind}", FILE_ROUTE, FILES[kind][0], file_body(kind, size))
        for kind, make in makers:
            route, field = next(routes)
            yield Hostile(kind, route, "application/json", make(size, field))
