"""Matching of surface cues: on twice as many links, on cues that occur together, and what is measured."""

import random

import numpy as np
import pytest

from tests.support import mixes
from tweetelm.data.mix.cues import NAMES, cue_counts
from tweetelm.data.mix.matching import FEWEST, CueMatch, match_cues, measure, trimmed


def texts(count: int, seed: int, links: float) -> list[str]:
    rng = random.Random(seed)
    return [mixes.tweet(rng, links) for _ in range(count)]


def matched(machine: list[str], human: list[str], seed: int = 0) -> tuple[list[tuple[int, int]], CueMatch]:
    pairs = match_cues(machine, human, goal=0.05, seed=seed)
    kept, partners = [row for row, _ in pairs], [partner for _, partner in pairs]
    return pairs, measure(machine, human, kept, partners, goal=0.05, seed=seed)


def test_twice_as_many_links_are_matched() -> None:
    _, found = matched(texts(400, 1, links=0.6), texts(600, 2, links=0.3))
    before, after, partners, human = found.means["links"]
    assert before > 1.7 * human
    assert abs(after - partners) < 0.08
    assert abs(found.smd["links"][1]) < 0.15 < found.smd["links"][0]
    assert found.rows[1] > 200
    before_accuracy, after_accuracy = found.accuracy["before"], found.accuracy["after"]
    assert before_accuracy is not None
    assert after_accuracy is not None
    assert before_accuracy > 0.6
    assert found.reached == (abs(after_accuracy - 0.5) <= 0.05)
    assert found.reached


def test_pairs_use_each_row_once() -> None:
    machine, human = texts(120, 1, links=0.6), texts(150, 2, links=0.3)
    pairs = match_cues(machine, human, goal=0.05, seed=0)
    assert pairs == sorted(pairs)
    assert len({row for row, _ in pairs}) == len({partner for _, partner in pairs}) == len(pairs)
    assert pairs == match_cues(machine, human, goal=0.05, seed=0)


def test_pairs_that_still_differ_are_removed() -> None:
    machine, human = texts(300, 1, links=0.3), [text.rstrip(".") for text in texts(300, 2, links=0.3)]
    machine = [text.rstrip(".") + "." * (position % 5 == 0) for position, text in enumerate(machine)]
    rows = cue_counts(machine), cue_counts(human)
    pairs = trimmed([(each, each) for each in range(300)], *rows, goal=0.03, seed=0)
    gone = {*range(300)} - {row for row, _ in pairs}
    assert len(gone) > 10
    assert len([row for row in gone if row % 5 == 0]) > 0.8 * len(gone)


def test_few_rows_are_kept_and_not_measured() -> None:
    few = texts(FEWEST - 1, 1, links=1.0)
    pairs, found = matched(few, texts(100, 2, links=0.0))
    assert len(pairs) == len(few)
    assert found.accuracy["after"] is None
    assert not found.reached
    assert match_cues([], few, goal=0.05, seed=0) == []


@pytest.mark.parametrize(
    ("text", "cue", "count"),
    [
        ("see https://t.co/1 and http://a.example", "links", 2),
        ("see http", "links", 1),
        ("@ann and @bob", "mentions", 2),
        ("@ann hi", "mention first", 1),
        ("#bus #late", "hashtags", 2),
        ("<U+1F602> 😂", "emoji", 2),
        ("one\ntwo\n", "line breaks", 1),
        ("AB cd @XY http", "upper case", 0.5),
        ("The end.", "ends with a period", 1),
        ("The end...", "ends with a period", 0),
        ("The end...", "ellipses", 1),
        ("really?!", "ends with ! or ?", 1),
        ("a &amp; b", "ampersands", 1),
        ("see https://t.co/123456 now", "characters", len("see http now")),
        ("three plain words", "words", 3),
    ],
)
def test_cues_are_counted(text: str, cue: str, count: float) -> None:
    assert cue_counts([text])[0, NAMES.index(cue)] == count


def test_no_text_has_no_cues() -> None:
    assert cue_counts([]).shape == (0, len(NAMES))
    assert np.isfinite(cue_counts([""])).all()
