import random

import pytest

from tweetelm.config.text_config import TextConfig
from tweetelm.evaluation.robustness.attacks import DISGUISES, disguise
from tweetelm.text.normalize import normalize

TWEET = "@bob_builder they hate women and immigrants &amp; say so https://t.co/AbCdef #shameful"
DEFENDED = TextConfig(defend=True)
ERASABLE = [name for name in DISGUISES if name != "leetspeak"]


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_is_a_function_of_text_row_and_seed(name: str) -> None:
    state = random.getstate()
    assert disguise(name, TWEET, 3) == disguise(name, TWEET, 3)
    assert random.getstate() == state
    if name != "full-width letters":
        assert len({disguise(name, TWEET, row, seed) for row in range(4) for seed in range(2)}) == 8


@pytest.mark.parametrize("name", DISGUISES)
def test_attacks_change_words_only(name: str) -> None:
    before, after = TWEET.split(" "), disguise(name, TWEET, 0).split(" ")
    same = [a == b for a, b in zip(before, after, strict=True)]
    assert [word for word, kept in zip(before, same, strict=True) if kept] == [
        "@bob_builder", "&amp;", "so", "https://t.co/AbCdef"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ERASABLE)
def test_defenses_undo_what_can_be_undone(name: str) -> None:
    """Look-alikes may change case, and one look-alike may represent two letters (`l`, `I`)."""
    plain, undone = normalize(TWEET, DEFENDED).lower(), []
    for row in range(20):
        undone.append(normalize(disguise(name, TWEET, row), DEFENDED).lower() == plain)
    assert sum(undone) >= (16 if name in ("look-alike letters", "stretched letters") else 20)


def test_defenses_spell_most_leetspeak_out() -> None:
    words = ["hate", "women", "immigrants", "refugee", "stupid", "disgusting", "people", "country"]
    right = sum(
        normalize(disguise("leetspeak", word, row), DEFENDED) == word for word in words for row in range(25)
    )
    assert right >= 0.95 * len(words) * 25
