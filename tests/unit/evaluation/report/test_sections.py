"""Sections of the report, on tweets with known results."""

import dataclasses

import numpy as np
import pytest

from tests.support.fakes import card, dataset
from tests.support.report import report_context, rows_of
from tweetelm.config.train_config import DataConfig, TrainConfig, to_dict
from tweetelm.evaluation.report.context import Rival
from tweetelm.evaluation.report.document import Interval, Section, Table
from tweetelm.evaluation.report.sections.calibration import calibration
from tweetelm.evaluation.report.sections.comparison import comparison
from tweetelm.evaluation.report.sections.headline import headline
from tweetelm.evaluation.report.sections.shift import domain_auroc, shift
from tweetelm.evaluation.report.sections.slices import find_duplicates, overlap, parts
from tweetelm.evaluation.report.sections.splits import side_by_side
from tweetelm.evaluation.report.write import report
from tweetelm.tasks import DEEPFAKE, HATE


def test_duplicates_are_split_by_the_label_in_train() -> None:
    section = overlap(report_context())
    assert section is not None
    identical, normalized = map(rows_of, section.tables)
    assert identical["all"][:3] == (6, 2 / 6, 4 / 6)
    assert identical["with a duplicate"][:1] == (2,)
    assert identical["duplicate with the same label"] == (1, 0.0, 1.0, None)  # You there
    assert identical["duplicate with another label"] == (1, 0.0, 1.0, None)  # GO home: hate in train
    assert normalized["with a duplicate"][:1] == (3,)  # the link is masked
    assert identical["without a duplicate"][0] + identical["with a duplicate"][0] == 6


def test_opposite_duplicates_have_another_label_in_train() -> None:
    labels, seen = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    duplicate, opposite = find_duplicates(["a", "b", "b", "new"], labels, ["a", "b", "b", "c"], seen)
    assert duplicate.tolist() == [True, True, True, False]
    assert opposite.tolist() == [False, True, True, False]


def test_report_says_if_duplicates_were_trained_on() -> None:
    trained_on = to_dict(TrainConfig(task="hate", data=DataConfig(drop_overlap=False)))
    for config, words in (
        (trained_on, "has seen"),
        (to_dict(TrainConfig(task="hate")), "has not seen"),
    ):
        section = overlap(report_context(card=card(config=config)))
        assert section is not None
        assert words in section.text[0]


def test_links_and_mentions_have_slices() -> None:
    table = rows_of(parts(report_context()).tables[0])
    assert table["with a link"] == (1, 0.0, 1.0, None)
    assert table["without a link"][0] == 5
    assert table["with a mention"] == (1, 1.0, 1.0, None)
    lengths = [value[0] for name, value in table.items() if "characters" in name]
    assert sum(lengths) == 6


def test_generators_have_published_recall() -> None:
    rows = dataset(DEEPFAKE, test=[("hi", 0, "human"), ("HEY", 0, "human"), ("BUY NOW", 1, "gpt2")])
    table = parts(report_context(rows, DEEPFAKE)).tables[0]
    assert table.columns[-1] == "RoBERTa"
    assert rows_of(table)["gpt2"][:2] == (1, 1.0)
    assert rows_of(table)["gpt2"][-1] == 0.742
    assert rows_of(table)["human"][:2] == (2, 0.5)


def test_splits_have_a_column_each() -> None:
    table = rows_of(side_by_side(report_context()).tables[0])
    assert table["tweets"] == (4, 6)
    assert table["true share of hate"] == (0.75, 2 / 6)
    assert table["predicted share of hate"] == (0.5, 2 / 6)
    assert table["recall of hate"] == (2 / 3, 0.5)
    assert table["accuracy"] == (0.75, 4 / 6)


def test_headline_is_test_with_interval() -> None:
    table = headline(report_context()).tables[0]
    ours = next(row[1] for row in table.rows if row[0] == "→ this model")
    assert isinstance(ours, Interval)
    assert ours.low < ours.value < ours.high


def test_two_models_are_compared_tweet_by_tweet() -> None:
    made = report_context()
    wrong_once = made.result.labels.copy()
    wrong_once[0] = 1
    rival = Rival(name="20261120-000000", predicted=wrong_once)
    section = comparison(dataclasses.replace(made, rival=rival))
    assert section is not None
    table = rows_of(section.tables[0])
    assert table["accuracy"][:3] == pytest.approx((4 / 6, 5 / 6, -1 / 6))
    assert rows_of(section.tables[1]) == {
        "both right": (3,), "only this model": (1,), "only 20261120-000000": (2,), "neither": (0,)
    }  # fmt: skip
    assert comparison(made) is None


def words(text: str, times: int, label: int) -> list[tuple[str, int]]:
    return [(f"{text} word{chr(97 + i % 20)}{chr(97 + i // 20)}", label) for i in range(times)]


SHIFTED = dataset(
    HATE,
    train=words("calm sea @Someone https://x.y/zebra", 60, 0) + words("#wall calm", 30, 1),
    validation=words("calm sea", 30, 0),
    test=words("#wall storm", 50, 0) + words("calm @Someone rare", 19, 1),
)


def shift_tables() -> tuple[Table, ...]:
    section = shift(report_context(SHIFTED))
    assert section is not None
    return section.tables


def test_shifted_words_have_share_and_label_share() -> None:
    _, frequency, meaning = shift_tables()
    storm = rows_of(frequency)["storm"]
    assert storm == (0.0, None, 0.0, None, 50 / 69, 0.0)
    wall = rows_of(meaning)["#wall"]
    assert wall == (30 / 90, 1.0, 0.0, None, 50 / 69, 0.0)
    assert meaning.rows[0][0] == "#wall"


def test_mentions_links_and_rare_words_are_not_shown() -> None:
    shown = {row[0] for table in shift_tables()[1:] for row in table.rows}
    assert not shown & {"someone", "@someone", "user", "http", "https", "zebra", "rare"}
    assert not [word for word in shown if str(word).startswith("word")]  # each in fewer than 20 tweets


def test_domain_classifier_separates_only_shifted_splits() -> None:
    domains = rows_of(shift_tables()[0])
    assert domains["train and test"][0] > 0.9
    texts = [f"tweet about {i % 7} and {i % 11} things" for i in range(200)]
    shuffled = np.random.default_rng(0).permutation(texts).tolist()
    same = domain_auroc(shuffled[:100], shuffled[100:])
    assert 0.35 < same.value < 0.65


def test_calibration_covers_each_temperature() -> None:
    rows = dataset(
        HATE,
        validation=[("so SO sad", 0), ("so SO SAD", 1), ("so sad SO", 1), ("SO so SAD", 1), ("WAR is ON", 0)],
        test=[("peace NOW", 0), ("WAR", 1)],
    )
    section = calibration(report_context(rows))
    by_name = {row[:2]: row[2:] for row in section.tables[0].rows}
    assert list(by_name) == [
        (split, rule) for split in ("validation", "test") for rule in ("none", "fitted on validation")
    ]
    losses = [by_name["validation", rule][1].value for rule in ("none", "fitted on validation")]
    assert losses[1] < losses[0]
    assert [figure.name for figure in section.figures] == ["reliability", "roc", "precision-recall"]
    rules = rows_of(section.tables[-1])
    assert rules["even odds"][0] == 0.5
    assert rules["best macro-F1 on validation"][1] >= rules["even odds"][1]


def test_sections_are_in_order_and_provenance_last() -> None:
    probe = Section(title="A probe")
    titles = [section.title for section in report(report_context(card=card()), [probe]).sections]
    assert titles[0] == "Headline"
    assert titles[-2:] == ["A probe", "Provenance"]
    assert "Shift between the splits" in titles
