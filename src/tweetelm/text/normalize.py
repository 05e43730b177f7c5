"""Tweet normalization, str -> str: the one place where a tweet's characters are changed."""

import functools
import re
import unicodedata
from itertools import count

from tweetelm.config.text_config import TextConfig
from tweetelm.text import elongation, homoglyphs, leetspeak
from tweetelm.text.html_entities import decode

_DEFAULT = TextConfig()
DECODING_PASSES = 8
MOST_MARKS = 30
"""Combining marks in a row that are kept, as in Unicode's Stream-Safe Text Format (UAX #15): no language has
longer runs, and composing (NFC) takes time quadratic in their length."""
_SURROGATES = re.compile(r"([\ud800-\udbff][\udc00-\udfff])|[\ud800-\udfff]")
_LINK = re.compile(r"(?:https?://|\bwww\.\S)\S*", re.IGNORECASE)
_MENTION = re.compile(r"@\w+")
# Unicode's Default_Ignorable_Code_Point, controls that are no white space, the blank Braille pattern.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_VISIBLE = re.compile(_INVISIBLE.pattern.replace("[", "[^", 1).replace("]+", "]{1,1024}"))
_EMOJI = "[\u203c\u2049\u2190-\u27bf\u2900-\u2bff\U0001f000-\U0001faff]"
_JOINER = re.compile(f"(?<!{_EMOJI})\u200d|\u200d(?!{_EMOJI})")


def normalize(text: str, config: TextConfig = _DEFAULT) -> str:
    """The text a model reads. Accepts any string, never raises; ``normalize(normalize(x)) == normalize(x)``.

    One rewrite may uncover work for another (an entity that decodes to an ``@``), so all are repeated until
    nothing changes; the result is therefore a fixpoint, which is what makes the function idempotent.

    The repetition ends: every pass that does more than compose (NFC) lowers a positive whole number. Weigh a
    text by the sum over the characters of its NFD: an ``@`` that does not begin ``@user`` 6; a surrogate 4;
    one that is folded to others 1 more than they; ``&``, a digit, a sign of leetspeak and white space other
    than a plain space 2; any other 1. NFC keeps the weight, and once is enough. Everything else lowers it: a
    mask of a mention adds three letters at most, and takes 4 from the ``@``; a reference or an escape is
    heavier than what it stands for (see tests/unit/text/test_normalize.py).

    It ends soon: from the ninth pass on, reached only by references that are hidden in one another on
    purpose, an ``&`` or ``<`` is dropped rather than decoded.

    The cost is linear in the length of the text. Callers that cannot bound the length use `head` first.
    """
    text = _repair_surrogates(text)
    if config.form == "raw":
        return text
    for passes in count():
        rewritten = _rewrite(text, config, decoding=passes < DECODING_PASSES)
        if rewritten == text:
            return text
        text = rewritten
    raise AssertionError("count() does not end")


def head(text: str, characters: int, config: TextConfig = _DEFAULT) -> tuple[str, bool]:
    """The start of a text, at most `characters` long, and whether anything was cut off.

    White space, and what `config` strips as invisible, is left out first where `normalize` would leave it
    out, so that padding cannot push a text's words out of reach. The cost does not depend on what is cut.
    """
    if len(text) <= characters:
        return text, False
    if config.form == "tweet":
        text = " ".join(text.split(maxsplit=characters)[:characters])
        if config.strip_invisible or config.defend:
            text = _visible(text, characters + 1)
    return text[:characters], len(text) > characters


def _visible(text: str, characters: int) -> str:
    """The first visible characters of a text."""
    found, room = [], characters
    for run in _VISIBLE.finditer(text):
        found.append(run[0][:room])
        room -= len(found[-1])
        if not room:
            break
    return "".join(found)


def _rewrite(text: str, config: TextConfig, *, decoding: bool = True) -> str:
    text = _repair_surrogates(decode(text)) if decoding else text.replace("&", "").replace("<", "")
    if config.strip_invisible or config.defend:
        text = _strip_invisible(text)
    text = _unmask(unicodedata.normalize("NFC", _bound_marks(text)), config)
    if config.mask_links:
        text = _LINK.sub("http", text)
    if config.mask_mentions:
        text = (_MENTION if text.isascii() else _mention_with_marks()).sub("@user", text)
    return " ".join(text.split())


def _unmask(text: str, config: TextConfig) -> str:
    """Undo what disguises a word's letters."""
    if config.fold_lookalikes or config.defend:
        text = homoglyphs.fold(text)
    if config.strip_marks or config.defend:
        text = homoglyphs.strip_marks(text)
    if config.fold_leetspeak or config.defend:
        text = leetspeak.fold(text)
    if config.shorten_stretches or config.defend:
        text = elongation.shorten(text)
    return text


def _bound_marks(text: str) -> str:
    """Drop combining marks beyond `MOST_MARKS` in a row."""
    if text.isascii():
        return text
    return _long_runs_of_marks().sub(lambda run: run[0][:MOST_MARKS], text)


@functools.cache
def _long_runs_of_marks() -> re.Pattern[str]:
    return re.compile(f"[{_marks()}]{{{MOST_MARKS + 1},}}")


@functools.cache
def _mention_with_marks() -> re.Pattern[str]:
    """Marks belong to the handle: left behind, each would compose with the mask's last letter in its turn."""
    return re.compile(rf"@\w[\w{_marks()}]*")


@functools.cache
def _marks() -> str:
    """Every character that NFC moves or composes with what stands before it."""
    codes = map(chr, range(0x20000))  # the later planes have none; a Tibetan vowel decomposes to two
    return "".join(c for c in codes if unicodedata.combining(unicodedata.normalize("NFD", c)[0]))


def _strip_invisible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return _JOINER.sub("", _INVISIBLE.sub("", text))


def _repair_surrogates(text: str) -> str:
    """A surrogate pair becomes the character it spells, a lone surrogate U+FFFD: UTF-8 has neither."""
    if text.isascii():
        return text
    return _SURROGATES.sub(lambda m: _join(m[1]) if m[1] else "\ufffd", text)


def _join(pair: str) -> str:
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
