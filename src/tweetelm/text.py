"""Tweet normalisation, str -> str: the one place where a tweet's characters are changed."""

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
