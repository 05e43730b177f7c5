from itertools import pairwise

import pytest

from tweetelm.text import elongation


@pytest.mark.parametrize(
    ("stretched", "plain"),
    [
        ("haaaate", "hate"),
        ("sooooo WHAAAAT", "so WHAT"),
        ("goooood tooo Sooooon", "good too Soon"),
        ("hellllo coffeeee pusssssy", "hello coffee pussy"),
        ("stilllll allll bitchesss", "still all bitches"),
        ("killlled immmmmmigrants", "killed immigrants"),
        ("hhhaaattteee", "hate"),
        ("гоооол", "гол"),
    ],
)
def test_a_stretched_word_gets_its_plain_spelling(stretched: str, plain: str) -> None:
    assert elongation.shorten(stretched) == plain


def test_a_word_of_one_letter_keeps_three() -> None:
    assert elongation.shorten("KKK www. aaaaaaaa") == "KKK www. aaa"


@pytest.mark.parametrize("text", ["book hello", "Louis XVIII and VIII, iii", "IEEE", "1000000 ... !!! ____"])
def test_doubles_numerals_numbers_and_signs_stay(text: str) -> None:
    assert elongation.shorten(text) == text


def test_everyday_words_are_lower_case_and_have_a_double_letter() -> None:
    for word in elongation.DOUBLED:
        assert word.isalpha()
        assert word.islower()
        assert any(a == b for a, b in pairwise(word)), word
