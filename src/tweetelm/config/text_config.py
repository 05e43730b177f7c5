"""How a tweet's text is normalized, as data: recorded in every checkpoint."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How a tweet's text is rewritten before tokenization; recorded in every checkpoint."""

    form: Literal["tweet", "raw"] = "tweet"
    """tweet: decode entities and escapes, NFC, mask links and mentions, collapse white space. raw: as it is
    (lone surrogates excepted), for comparison with results on raw text."""
    mask_links: bool = True
    """Replace every link by `http` (tweet form only)."""
    mask_mentions: bool = True
    """Replace every mention by `@user` (tweet form only)."""
    defend: bool = False
    """All five defenses against disguised words at once: strip_invisible, fold_lookalikes, strip_marks,
    fold_leetspeak, shorten_stretches (tweet form only)."""
    strip_invisible: bool = False
    """Remove zero-width, direction and control characters, soft hyphens, variation selectors and tags (tweet
    form only). The joiner inside an emoji stays."""
    fold_lookalikes: bool = False
    """Replace full-width, mathematical and circled letters, and letters of other scripts that look Latin in a
    word with Latin letters, by the Latin letter (tweet form only)."""
    strip_marks: bool = False
    """Take accents and stacked marks off Latin letters (tweet form only)."""
    fold_leetspeak: bool = False
    """Write letters for digits and signs inside a word: `h4te` -> `hate` (tweet form only)."""
    shorten_stretches: bool = False
    """Write a letter repeated three times or more once, or twice where that gives an everyday word:
    `soooooo` -> `so`, `goooood` -> `good` (tweet form only)."""

    def __post_init__(self) -> None:
        if self.form not in ("tweet", "raw"):
            raise ValueError(f"text.form is {self.form!r}; expected 'tweet' or 'raw'")

    def undefended(self) -> "TextConfig":
        """The same with every defense off."""
        return replace(
            self,
            defend=False,
            strip_invisible=False,
            fold_lookalikes=False,
            strip_marks=False,
            fold_leetspeak=False,
            shorten_stretches=False,
        )
