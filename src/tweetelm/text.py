"""Tweet normalisation, str -> str: the one place where a tweet's characters are changed."""

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How a tweet's text is rewritten before tokenisation; recorded in every checkpoint."""

    form: Literal["tweet", "raw"] = "tweet"
    """tweet: decode entities and escapes, NFC, mask links and mentions, collapse white space. raw: as it is
    (lone surrogates excepted), for comparison with results on raw text."""
    mask_links: bool = True
    """Replace every link by `http` (tweet form only)."""
    mask_mentions: bool = True
    """Replace every mention by `@user` (tweet form only)."""
    strip_invisible: bool = False
    """Remove zero-width and direction characters, soft hyphens and tags (tweet form only). Takes joined emoji
    apart, too."""
    fold_lookalikes: bool = False
    """Replace full-width and mathematical letters, and Cyrillic or Greek ones that look Latin in a word with
    Latin letters, by the Latin letter (tweet form only)."""
    shorten_stretches: bool = False
    """Shorten a letter repeated more than three times to three: `soooooo` -> `sooo` (tweet form only)."""

    def __post_init__(self) -> None:
        if self.form not in ("tweet", "raw"):
            raise ValueError(f"text.form is {self.form!r}; expected 'tweet' or 'raw'")


_DEFAULT = TextConfig()
_REFERENCE_REACH = 40  # characters after `&` or `<` that belong to it; the longest HTML5 name has 32
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
_ESCAPE = re.compile(r"<U\+([0-9A-Fa-f]{4,8})>")
_OPENING = re.compile(r"[&<]")
_SURROGATES = re.compile(r"([\ud800-\udbff][\udc00-\udfff])|[\ud800-\udfff]")
_LINK = re.compile(r"(?:https?://|\bwww\.\S)\S*", re.IGNORECASE)
_MENTION = re.compile(r"@\w+")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]+"
)
_WIDE = re.compile("[\uff01-\uff5e\U0001d400-\U0001d7ff]+")
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁԛԝһАВЕКМНОРСТХУІЈЅԌοαινρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxijsdqwhABEKMHOPCTXYIJSGoaivpuABEZHIKMNOPTYX",
)
_WORD = re.compile(r"\w+")
_LATIN = re.compile(r"[A-Za-z]")
_STRETCH = re.compile(r"([^\W\d_])\1{3,}")


def normalise(text: str, config: TextConfig = _DEFAULT) -> str:
    """The text a model reads. Accepts any string, never raises; ``normalise(normalise(x)) == normalise(x)``.

    One rewrite may uncover work for another (an entity that decodes to an ``@``), so all are repeated until
    nothing changes; the result is therefore a fixpoint, which is what makes the function idempotent.

    The repetition ends. Weigh a text by the sum over the characters of its NFD: a surrogate, a full-width
    or a mathematical letter 4, a look-alike 3, ``&`` 2, any other 1. NFC keeps the weight, and once is
    enough. Decoding, stripping, folding, shortening, collapsing and link masks lower it. A mention mask can
    add up to 3, but after the first pass every mention is masked, and a new one needs an ``@`` decoded in
    the same pass, whose shortest spelling ``&#64`` with one letter of a name weighs 6, and ``@user`` 5. So
    from the second pass on every change but NFC lowers a positive whole number (see tests/test_text.py).
    """
    text = _repair_surrogates(text)
    if config.form == "raw":
        return text
    while (rewritten := _rewrite(text, config)) != text:
        text = rewritten
    return text


def _rewrite(text: str, config: TextConfig) -> str:
    text = _repair_surrogates(_decode(text))
    if config.strip_invisible:
        text = _INVISIBLE.sub("", text)
    text = unicodedata.normalize("NFC", text)
    if config.fold_lookalikes:
        text = _fold_lookalikes(text)
    if config.shorten_stretches:
        text = _STRETCH.sub(r"\1\1\1", text)
    if config.mask_links:
        text = _LINK.sub("http", text)
    if config.mask_mentions:
        text = _MENTION.sub("@user", text)
    return " ".join(text.split())


def _repair_surrogates(text: str) -> str:
    """A surrogate pair becomes the character it spells, a lone surrogate U+FFFD: UTF-8 has neither."""
    if text.isascii():
        return text
    return _SURROGATES.sub(lambda m: _join(m[1]) if m[1] else "\ufffd", text)


def _join(pair: str) -> str:
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _decode(text: str) -> str:
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
    head = "".join(reversed(done[-_REFERENCE_REACH:]))
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


def _fold_lookalikes(text: str) -> str:
    if text.isascii():
        return text
    text = _WIDE.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    return _WORD.sub(lambda m: m[0].translate(_LOOKALIKES) if _LATIN.search(m[0]) else m[0], text)
