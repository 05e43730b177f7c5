"""Tweet normalization, str to str. No other module changes the characters of a tweet."""

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
"""Maximum number of consecutive combining marks, as in Unicode's Stream-Safe Text Format (UAX #15). No
language has longer runs, and the time of NFC is quadratic in their length."""
_SURROGATES = re.compile(r"([\ud800-\udbff][\udc00-\udfff])|[\ud800-\udfff]")
LINK = re.compile(r"(?:https?://|\bwww\.\S)\S*", re.IGNORECASE)
MENTION = re.compile(r"@\w+")
# Unicode's Default_Ignorable_Code_Point, controls other than white space, and the blank Braille pattern.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_VISIBLE = re.compile(_INVISIBLE.pattern.replace("[", "[^", 1).replace("]+", "]{1,1024}"))
EMOJI = "[\u203c\u2049\u2190-\u27bf\u2900-\u2bff\U0001f000-\U0001faff]"
_JOINER = re.compile(f"(?<!{EMOJI})\u200d|\u200d(?!{EMOJI})")


def normalize(text: str, config: TextConfig = _DEFAULT) -> str:
    """Normalize a text for the model. Accepts any string, never raises, and is idempotent.

    One rewrite may enable another; for example, an entity may decode to an ``@``. All rewrites are therefore
    repeated until nothing changes. The result is a fixpoint, which makes the function idempotent.

    Termination: every pass that does more than NFC lowers the weight of the text, a positive integer. The
    weight is a sum over the characters of the text's NFD: 6 for an ``@`` that does not begin ``@user``, 4 for
    a surrogate, 2 for ``&``, a digit, a sign of leetspeak and white space other than a space, 1 for any other
    character. A character that is folded weighs 1 more than its replacement. NFC keeps the weight and is
    idempotent. All other rewrites lower it: masking a mention adds at most three letters and takes 4 from the
    ``@``; a reference or an escape is heavier than the character that it encodes (see
    tests/unit/text/test_normalize.py).

    Number of passes: from the ninth pass on, ``&`` and ``<`` are removed instead of decoded. Only references
    that are nested on purpose reach it.

    The cost is linear in the length of the text. Callers that cannot bound the length call `head` first.
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
    """The start of a text, at most `characters` long, and whether the text was truncated.

    White space and invisible characters that `normalize` would remove are removed first, so that padding
    cannot push words beyond the limit. The cost does not depend on the truncated part.
    """
    if len(text) <= characters:
        return text, False
    if config.form == "tweet":
        text = " ".join(text.split(maxsplit=characters)[:characters])
        if config.strip_invisible or config.defend:
            text = _visible(text, characters + 1)
    return text[:characters], len(text) > characters


def _visible(text: str, characters: int) -> str:
    """The first `characters` visible characters of a text."""
    found, remaining = [], characters
    for run in _VISIBLE.finditer(text):
        found.append(run[0][:remaining])
        remaining -= len(found[-1])
        if not remaining:
            break
    return "".join(found)


def _rewrite(text: str, config: TextConfig, *, decoding: bool = True) -> str:
    text = _repair_surrogates(decode(text)) if decoding else text.replace("&", "").replace("<", "")
    if config.strip_invisible or config.defend:
        text = _strip_invisible(text)
    text = _unmask(unicodedata.normalize("NFC", _bound_marks(text)), config)
    if config.mask_links:
        text = LINK.sub("http", text)
    if config.mask_mentions:
        text = (MENTION if text.isascii() else _mention_with_marks()).sub("@user", text)
    return " ".join(text.split())


def _unmask(text: str, config: TextConfig) -> str:
    """Undo disguises of letters, as configured."""
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
    """Truncate runs of combining marks to `MOST_MARKS`."""
    if text.isascii():
        return text
    return _long_runs_of_marks().sub(lambda run: run[0][:MOST_MARKS], text)


@functools.cache
def _long_runs_of_marks() -> re.Pattern[str]:
    return re.compile(f"[{_marks()}]{{{MOST_MARKS + 1},}}")


@functools.cache
def _mention_with_marks() -> re.Pattern[str]:
    """A mention with its combining marks, which NFC would otherwise compose with the mask's last letter."""
    return re.compile(rf"@\w[\w{_marks()}]*")


@functools.cache
def _marks() -> str:
    """All characters that NFC reorders or composes with the preceding character."""
    codes = map(chr, range(0x20000))  # later planes have none; NFD because a Tibetan vowel has two parts
    return "".join(c for c in codes if unicodedata.combining(unicodedata.normalize("NFD", c)[0]))


def _strip_invisible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return _JOINER.sub("", _INVISIBLE.sub("", text))


def _repair_surrogates(text: str) -> str:
    """Replace surrogate pairs by their character and lone surrogates by U+FFFD; UTF-8 cannot encode them."""
    if text.isascii():
        return text
    return _SURROGATES.sub(lambda m: _join(m[1]) if m[1] else "\ufffd", text)


def _join(pair: str) -> str:
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
