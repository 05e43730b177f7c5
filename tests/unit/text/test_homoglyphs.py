import importlib.util
import unicodedata
from pathlib import Path

import pytest

from tools.homoglyph_table import render
from tweetelm.text import homoglyph_table, homoglyphs


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("hаtе wоmеn", "hate women"),  # Cyrillic
        ("тhе wоrld м", "the world м"),  # Cyrillic т looks like a small capital
        ("I НАТЕ them", "I HATE them"),  # a word of look-alikes only, in Latin text
        ("ＨａＴｅ Ⓗⓐⓣⓔ 𝓱𝓪𝓽𝓮 🅗ate ʜᴀᴛᴇ ﬁght", "HaTe Hate hate hate hate fight"),
        ("ѕауѕ Ѕ", "says Ѕ"),
        ("wøman łove 🅱itch ⍺nd", "woman love bitch and"),
        ("Імmigrant wо𝟎d", "Immigrant wo0d"),
    ],
)
def test_disguised_letters_become_latin(text: str, plain: str) -> None:
    assert homoglyphs.fold(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "мы ехали на восток",
        "но не это, amid English words",
        "ТОР СЕО РОСА и снова дождь",  # words of look-alikes, but the text is Russian
        "η ζωή είναι ωραία",
        "ありがとう 東京 한국어 שלום",
        "β decay, α male, ™ and ½ of 20 °C × 3",
        "plain ASCII text, 4ever",
        "🇺🇸 👍🏽 ❤",
    ],
)
def test_text_of_other_scripts_and_signs_stay_as_they_are(text: str) -> None:
    assert homoglyphs.fold(text) == text


def test_marks_come_off_latin_letters_only() -> None:
    zalgo = "".join(c + "\u0336\u035b\u0489" for c in "hate")
    assert homoglyphs.strip_marks(f"{zalgo} Beyoncé") == "hate Beyonce"
    kept = unicodedata.normalize("NFC", "и\u0306 が ε\u0301 ≠ 1\ufe0f\u20e3 हिन्दी שָׁלוֹם")
    assert homoglyphs.strip_marks(kept) == kept


def test_homoglyphs_map_non_ascii_to_latin_letters() -> None:
    assert len(homoglyphs.EXACT) > 600
    assert all(code > 127 for code in homoglyphs.MIXED)
    assert all(len(x) == 1 and x.isascii() and x.isalpha() for x in homoglyphs.MIXED.values())


def test_homoglyph_is_folded_anywhere_in_a_latin_word() -> None:
    for code, letter in homoglyphs.MIXED.items():
        assert homoglyphs.fold(f"{chr(code)}q{chr(code)}") == f"{letter}q{letter}", hex(code)


@pytest.mark.skipif(
    importlib.util.find_spec("confusable_homoglyphs") is None, reason="confusable-homoglyphs is not installed"
)
def test_the_table_is_what_its_script_writes() -> None:
    written = Path(homoglyph_table.__file__).read_text(encoding="utf-8")
    assert render() == written
