import pytest

from tweetelm.text.wordlist import EVERYDAY, is_everyday


@pytest.mark.parametrize("word", ["hate", "refugees", "making", "running", "ladies", "happily", "hoped"])
def test_words_and_their_inflections_are_everyday(word: str) -> None:
    assert is_everyday(word)


@pytest.mark.parametrize("word", ["", "s", "ed", "ies", "zorblax", "psa", "badd", "hatee"])
def test_other_strings_are_not(word: str) -> None:
    assert not is_everyday(word)


def test_the_words_are_small_ascii_letters() -> None:
    assert len(EVERYDAY) > 1500
    assert all(word.isascii() and word.isalpha() and word.islower() and len(word) > 1 for word in EVERYDAY)
