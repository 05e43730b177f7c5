import dataclasses

import numpy as np

from tests.support.keyword_classifier import KeywordClassifier
from tweetelm.config.text_config import TextConfig
from tweetelm.evaluation.report.document import Interval
from tweetelm.evaluation.robustness.attacks import DISGUISES
from tweetelm.evaluation.robustness.evasion import attack, evasion, views
from tweetelm.tasks import HATE

TEXTS = ["we hate them", "women are vermin", "we love them", "they hate rain", "nothing here"]
LABELS = np.array([1, 1, 0, 0, 1])
MODEL = KeywordClassifier(HATE, ("hate", "vermin"))


def test_only_tweets_that_were_caught_are_attacked() -> None:
    resistance = attack(MODEL, TEXTS, LABELS)
    assert {a.cases for a in resistance.attacks} == {2}
    assert [a.name for a in resistance.attacks] == list(DISGUISES)


def test_attack_sample_is_bounded_and_reproducible() -> None:
    few = [attack(MODEL, TEXTS * 20, np.tile(LABELS, 20), most=7) for _ in range(2)]
    assert {a.cases for a in few[0].attacks} == {7}
    assert few[0] == few[1]


def test_defenses_restore_a_keyword_model_under_attack() -> None:
    bare, defended = (attack(view, TEXTS, LABELS) for view in views(MODEL))
    assert {a.name: a.escaped for a in bare.attacks} == dict.fromkeys(DISGUISES, 2)
    assert {a.name: a.escaped for a in defended.attacks if a.name != "leetspeak"} == dict.fromkeys(
        [name for name in DISGUISES if name != "leetspeak"], 0
    )


def test_the_metric_is_of_what_a_user_is_told() -> None:
    """Predicted: hate, hate, no, hate, no; true: hate, hate, no, no, hate. F1 is 4/6 and 2/4."""
    assert attack(MODEL, TEXTS, LABELS).metric == (4 / 6 + 2 / 4) / 2


def test_views_differ_in_the_defenses_only() -> None:
    model = dataclasses.replace(MODEL, text=TextConfig(mask_links=False, strip_marks=True))
    assert [view.text for view in views(model)] == [
        TextConfig(mask_links=False), TextConfig(mask_links=False, defend=True)
    ]  # fmt: skip


def test_evasion_section_compares_attacks_and_cost() -> None:
    section = evasion(MODEL, [*TEXTS, "naïve h4te"], np.array([1, 1, 0, 0, 1, 0]))
    attacks, price = section.tables
    assert [row[0] for row in attacks.rows] == list(DISGUISES)
    zero_width = attacks.rows[0]
    assert isinstance(zero_width[1], Interval)
    assert isinstance(zero_width[2], Interval)
    assert (zero_width[1].value, zero_width[2].value, zero_width[3]) == (1.0, 0.0, "yes")
    without, within = (row[1] for row in price.rows)  # with defenses, `h4te` is read as hate
    assert (without, within) == ((2 * 2 / 6 + 2 * 2 / 6) / 2, (2 * 2 / 7 + 2 * 1 / 5) / 2)
    assert "(target: at most 0.5; met: no)" in section.text[1]
    assert not any(text in repr(section) for text in TEXTS)


def test_a_model_that_catches_nothing_cannot_be_attacked() -> None:
    section = evasion(KeywordClassifier(HATE), TEXTS, LABELS)
    assert {row[1:] for row in section.tables[0].rows} == {(None, None, "no tweet to attack")}
