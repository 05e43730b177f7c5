"""Runs `python -m tweetelm.data` in this process."""

import sys
from collections.abc import Sequence

import pytest

from tweetelm.data.__main__ import main


def run_data(words: Sequence[str]) -> int:
    """The exit status of a command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["data", *words])
        return main()
