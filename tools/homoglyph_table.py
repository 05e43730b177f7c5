"""Write `src/tweetelm/text/homoglyph_table.py`: `python -m tools.homoglyph_table`.

Needs the package confusable-homoglyphs.

The package has Unicode's confusables.txt (UTS #39) as pairs. A character is kept if it looks like an ASCII
letter, such a letter with a stroke or its small capital, and if it can be part of a word. These are letters,
digits and symbols, without bars, crosses and signs that have a meaning between letters. NFKC handles
compatibility letters, and NFD handles accented ones.
"""

import json
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

SOURCE = "confusable-homoglyphs"
UNICODE = "15.0"  # the newest scripts in the package's categories.json are from Unicode 15.0
MEANINGFUL = "×∣⏽￨╳"
_NAMED = re.compile(r"(?:LATIN LETTER SMALL|NEGATIVE (?:CIRCLED|SQUARED) LATIN) CAPITAL(?: LETTER)? ([A-Z])")
HEADER = '''"""Characters that look like an ASCII letter: Unicode's confusables (UTS #39, Unicode {unicode}).

Written by `python -m tools.homoglyph_table` from {source} {version}; do not edit.
"""
'''
Table = dict[str, str]


def main() -> None:
    """Write the module with the tables."""
    path = Path(__file__).parents[1] / "src/tweetelm/text/homoglyph_table.py"
    path.write_text(render(), encoding="utf-8")
    print(f"wrote {path}")


def render() -> str:
    """The text of the module: for each letter its lookalike code points, in hexadecimal."""
    exact, small = tables()
    header = HEADER.format(unicode=UNICODE, source=SOURCE, version=version(SOURCE))
    return header + _dictionary("LOOKALIKES", exact) + _dictionary("LIKE_SMALL_CAPITALS", small)


def tables() -> tuple[Table, Table]:
    """Two tables from lookalike to letter: for ASCII letters, and for Latin small capitals."""
    path = distribution(SOURCE).locate_file("confusable_homoglyphs/confusables.json")
    pairs: dict[str, list[dict[str, Any]]] = json.loads(Path(str(path)).read_text(encoding="utf-8"))
    similar = {_visible(key): [_plain(_visible(pair["c"])) for pair in found] for key, found in pairs.items()}
    exact = {key: c for key, cs in similar.items() for c in cs if len(c) == 1 and c.isascii() and c.isalpha()}
    small = {key: letter for key, others in similar.items() for c in others for letter in _named(c)}
    small |= {key: small[c] for key, others in similar.items() for c in others if c in small}
    exact |= {chr(code): letter for code in range(128, 0x1F200) for letter in _named(chr(code))}
    return _tidy(exact), _tidy({key: letter for key, letter in small.items() if key not in exact})


def _tidy(table: Table) -> Table:
    return {key: _cased(key, letter) for key, letter in sorted(table.items()) if _stands_in_a_word(key)}


def _dictionary(name: str, table: Table) -> str:
    lines = []
    for letter in sorted(set(table.values())):
        codes = " ".join(f"{ord(key):x}" for key in table if table[key] == letter)
        parts = "\n    ".join(f'"{part} "' for part in textwrap.wrap(codes, 94))
        lines.append(f'    "{letter}": {parts[:-2]}",\n')
    return f"\n{name} = {{\n{''.join(lines)}}}\n"


def _visible(text: str) -> str:
    return text.replace("\u200e", "")


def _plain(text: str) -> str:
    """The text without accents and strokes."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _named(character: str) -> Iterator[str]:
    if len(character) == 1 and (match := _NAMED.fullmatch(unicodedata.name(character, ""))):
        yield match[1].lower()


def _cased(key: str, letter: str) -> str:
    """UTS #39 maps capital I to l; a capital letter that looks like l is more likely an I."""
    return "I" if letter == "l" and key.isupper() else letter


def _stands_in_a_word(key: str) -> bool:
    if len(key) != 1 or key.isascii() or key in MEANINGFUL or len(unicodedata.normalize("NFKD", key)) > 1:
        return False
    if unicodedata.normalize("NFKC", key).isascii() or 0x1D400 <= ord(key) <= 0x1D7FF:
        return False
    return unicodedata.category(key) in ("Lu", "Ll", "Lt", "Lo", "Lm", "Nd", "Nl", "No", "So", "Sm")


if __name__ == "__main__":
    main()
