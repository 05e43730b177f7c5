"""Settings of text normalization, stored in every checkpoint."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Text normalization before tokenization; stored in every checkpoint."""

    form: Literal["tweet", "raw"] = "tweet"
    """tweet: decode entities and escapes, NFC, mask links and mentions, collapse white space. raw: unchanged
    except for lone surrogates, for comparison with results on raw text."""
    mask_links: bool = True
    """Replace every link by `http` (tweet form only)."""
    mask_mentions: bool = True
    """Replace every mention by `@user` (tweet form only)."""
    defend: bool = False
    """Enable all five defenses against disguised words: strip_invisible, fold_lookalikes, strip_marks,
    fold_leetspeak, shorten_stretches (tweet form only)."""
    strip_invisible: bool = False
    """Remove zero-width, direction and control characters, soft hyphens, variation selectors and tags (tweet
    form only). Joiners inside emoji are kept."""
    fold_lookalikes: bool = False
    """Replace full-width, mathematical and circled letters, and letters of other scripts that look Latin in a
    word with Latin letters, by the Latin letter (tweet form only)."""
    strip_marks: bool = False
    """Remove accents and stacked marks from Latin letters (tweet form only)."""
    fold_leetspeak: bool = False
    """Replace digits and signs inside a word by letters: `h4te` -> `hate` (tweet form only)."""
    shorten_stretches: bool = False
    """Shorten letters repeated three times or more to one, or to two if that is a common word:
    `soooooo` -> `so`, `goooood` -> `good` (tweet form only)."""

    def __post_init__(self) -> None:
        if self.form not in ("tweet", "raw"):
            raise ValueError(f"text.form is {self.form!r}; expected 'tweet' or 'raw'")

    def undefended(self) -> "TextConfig":
        """Return a copy with all defenses off."""
        return replace(
            self,
            defend=False,
            strip_invisible=False,
            fold_lookalikes=False,
            strip_marks=False,
            fold_leetspeak=False,
            shorten_stretches=False,
        )
