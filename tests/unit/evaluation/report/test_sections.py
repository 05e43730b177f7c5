"""What each section finds, on tweets for which it can be told by hand."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.fakes import FakeProvenance, ShoutPredictor, card, dataset
from tweetelm.config.train_config import DataConfig, TrainConfig
from tweetelm.evaluation.evaluate import evaluate
from tweetelm.evaluation.fairness import error_rates, naming
from tweetelm.evaluation.report.context import Evidence, Rival
from tweetelm.evaluation.report.document import Interval, Section, Table
from tweetelm.evaluation.report.predictions import Predictions
from tweetelm.evaluation.report.sections.calibration import calibration
from tweetelm.evaluation.report.sections.errors import bias, worst, worst_errors
from tweetelm.evaluation.report.sections.headline import comparison, headline
from tweetelm.evaluation.report.sections.shift import domain_auroc, shift
from tweetelm.evaluation.report.sections.slices import find_twins, overlap, parts
from tweetelm.evaluation.report.sections.splits import held_out, side_by_side
from tweetelm.evaluation.report.write import report
from tweetelm.tasks import DEEPFAKE, HATE, Task

HATE_ROWS = dataset(
    HATE,
    train=[("You there", 0), ("GO home", 1), ("go   HOME", 0), ("see http://a.b", 0)],
    validation=[("peace", 0), ("WAR", 1), ("so SO", 1), ("GO AWAY now", 1)],
    test=[
        ("You there", 0),
        ("GO home", 0),
        ("see https://c.d", 0),
        ("@me STOP IT", 1),
        ("FINE", 0),
        ("new", 1),
    ],
)


def evidence(rows: DatasetDict = HATE_ROWS, task: Task = HATE, **changes: Any) -> Evidence:
    splits = [name for name in rows if name != "train"]
    made = evaluate(ShoutPredictor(task), rows, splits)
    return Evidence(evaluation=made, dataset=rows, provenance=FakeProvenance(), **changes)


def rows_of(table: Table) -> dict[Any, tuple[Any, ...]]:
    """Rows by their first cell; of an interval, the value."""
    plain = [[cell.value if isinstance(cell, Interval) else cell for cell in row] for row in table.rows]
    return {row[0]: tuple(row[1:]) for row in plain}


def test_tweets_that_stand_in_train_are_told_apart_by_their_twins_label() -> None:
    section = overlap(evidence())
    assert section is not None
    identical, normalized = map(rows_of, section.tables)
    assert identical["all"][:3] == (6, 2 / 6, 4 / 6)
    assert identical["with a twin"][:1] == (2,)
    assert identical["twin of the same label"] == (1, 0.0, 1.0, None)  # You there
    assert identical["twin of the opposite label"] == (1, 0.0, 1.0, None)  # GO home: hate in train
    assert normalized["with a twin"][:1] == (3,)  # the link is masked
    assert identical["without a twin"][0] + identical["with a twin"][0] == 6


def test_a_twin_is_opposite_if_train_calls_it_anything_else() -> None:
    labels, seen = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    twin, opposite = find_twins(["a", "b", "b", "new"], labels, ["a", "b", "b", "c"], seen)
    assert twin.tolist() == [True, True, True, False]
    assert opposite.tolist() == [False, True, True, False]


def test_whether_the_model_has_seen_the_twins_is_said() -> None:
    learned = dataclasses.asdict(TrainConfig(task="hate", data=DataConfig(drop_overlap=False)))
    for config, words in (
        (learned, "has seen"),
        (dataclasses.asdict(TrainConfig(task="hate")), "has not seen"),
    ):
        section = overlap(evidence(card=card(config=config)))
        assert section is not None
        assert words in section.text[0]


def test_tweets_with_links_and_mentions_are_scored_apart() -> None:
    table = rows_of(parts(evidence()).tables[0])
    assert table["with a link"] == (1, 0.0, 1.0, None)
    assert table["without a link"][0] == 5
    assert table["with a mention"] == (1, 1.0, 1.0, None)
    lengths = [value[0] for name, value in table.items() if "characters" in name]
    assert sum(lengths) == 6


def test_published_recall_stands_beside_ours_per_generator() -> None:
    rows = dataset(DEEPFAKE, test=[("hi", 0, "human"), ("HEY", 0, "human"), ("BUY NOW", 1, "gpt2")])
    table = parts(evidence(rows, DEEPFAKE)).tables[0]
    assert table.columns[-1] == "RoBERTa"
    assert rows_of(table)["gpt2"][:2] == (1, 1.0)
    assert rows_of(table)["gpt2"][-1] == 0.742
    assert rows_of(table)["human"][:2] == (2, 0.5)


def test_splits_stand_side_by_side_with_intervals() -> None:
    table = rows_of(side_by_side(evidence()).tables[0])
    assert table["tweets"] == (4, 6)
    assert table["true share of hate"] == (0.75, 2 / 6)
    assert table["predicted share of hate"] == (0.5, 2 / 6)
    assert table["recall of hate"] == (2 / 3, 0.5)
    assert table["accuracy"] == (0.75, 4 / 6)


def test_the_headline_is_the_test_split_with_an_interval() -> None:
    table = headline(evidence()).tables[0]
    ours = next(row[1] for row in table.rows if row[0] == "→ this model")
    assert isinstance(ours, Interval)
    assert ours.low < ours.value < ours.high


def test_two_models_are_compared_tweet_by_tweet() -> None:
    made = evidence()
    wrong_once = made.result.labels.copy()
    wrong_once[0] = 1
    rival = Rival(version="20261120-000000", predictions=Predictions(
        predicted=wrong_once, probabilities=np.eye(2)[wrong_once]))  # fmt: skip
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
    section = shift(evidence(SHIFTED))
    assert section is not None
    return section.tables


def test_the_words_that_moved_most_are_named_with_share_and_meaning() -> None:
    _, frequency, meaning = shift_tables()
    storm = rows_of(frequency)["storm"]
    assert storm == (0.0, None, 0.0, None, 50 / 69, 0.0)
    wall = rows_of(meaning)["#wall"]
    assert wall == (30 / 90, 1.0, 0.0, None, 50 / 69, 0.0)
    assert meaning.rows[0][0] == "#wall"


def test_no_mention_no_link_and_no_rare_word_is_shown() -> None:
    shown = {row[0] for table in shift_tables()[1:] for row in table.rows}
    assert not shown & {"someone", "@someone", "user", "http", "https", "zebra", "rare"}
    assert not [word for word in shown if str(word).startswith("word")]  # each in fewer than 20 tweets


def test_splits_of_other_words_are_told_apart_and_shuffled_ones_are_not() -> None:
    domains = rows_of(shift_tables()[0])
    assert domains["train and test"][0] > 0.9
    texts = [f"tweet about {i % 7} and {i % 11} things" for i in range(200)]
    shuffled = np.random.default_rng(0).permutation(texts).tolist()
    same = domain_auroc(shuffled[:100], shuffled[100:])
    assert 0.35 < same.value < 0.65


def test_calibration_is_told_without_with_and_by_validations_temperature() -> None:
    rows = dataset(
        HATE,
        validation=[("so SO sad", 0), ("so SO SAD", 1), ("so sad SO", 1), ("SO so SAD", 1), ("WAR is ON", 0)],
        test=[("peace NOW", 0), ("WAR", 1)],
    )
    section = calibration(evidence(rows))
    by_name = {row[:2]: row[2:] for row in section.tables[0].rows}
    assert list(by_name) == [
        (split, rule) for split in ("validation", "test") for rule in ("none", "fitted on validation")
    ]
    losses = [by_name["validation", rule][1].value for rule in ("none", "fitted on validation")]
    assert losses[1] < losses[0]
    assert [figure.name for figure in section.figures] == ["reliability", "curves"]
    rules = rows_of(section.tables[-1])
    assert rules["even odds"][0] == 0.5
    assert rules["best macro-F1 on validation"][1] >= rules["even odds"][1]


def test_the_worst_errors_come_first_and_only_by_row() -> None:
    made = evidence()
    assert worst(made.result).tolist() == [4, 5]  # FINE and new, both told with certainty
    table = worst_errors(made).tables[0]
    assert table.rows[0] == ("test", 4, "not-hate", "hate", 1.0)


def account_rows(account: str, label: str, right: int, wrong: int) -> list[tuple[str, int, str, str]]:
    loud, quiet = ("SHOUT", "hush") if label == "bot" else ("hush", "SHOUT")
    texts = [loud] * right + [quiet] * wrong
    return [(text, int(label == "bot"), "human" if label == "human" else "gpt2", account) for text in texts]


def deepfake(**splits: list[tuple[str, int, str, str]]) -> DatasetDict:
    columns = ("text", "label", "class_type", "screen_name")
    features = Features({
        "text": Value("string"), "label": ClassLabel(names=list(DEEPFAKE.labels)),
        "class_type": Value("string"), "screen_name": Value("string"),
    })  # fmt: skip
    return DatasetDict(
        {
            name: Dataset.from_list([dict(zip(columns, row, strict=True)) for row in rows], features=features)
            for name, rows in splits.items()
        }
    )


PEOPLE = (
    account_rows("elonmusk", "human", 30, 10)
    + account_rows("dril", "human", 20, 0)
    + account_rows("DrilRnn", "bot", 10, 5)
    + account_rows("dril_gpt2", "bot", 10, 5)
)


def test_errors_are_counted_by_persona_and_label() -> None:
    split = deepfake(test=PEOPLE)
    made = evidence(split, DEEPFAKE)
    rates = {(r["label"], r["group"]): (r["tweets"], r["errors"]) for r in made.result.metrics["error_rates"]}
    assert rates == {
        ("human", ""): (60, 10), ("human", "dril"): (20, 0), ("human", "musk"): (40, 10),
        ("bot", ""): (30, 10), ("bot", "dril"): (30, 10),
    }  # fmt: skip
    table = bias(made).tables[1]
    assert table.rows == (("human", 2, 0.0, 0.125, 0.25),)


def test_false_alarms_are_counted_by_the_people_a_tweet_names() -> None:
    texts = ["a woman spoke"] * 15 + ["#Women spoke"] * 10 + ["the germans spoke"] * 30
    split = dataset(HATE, test=[(text, 0) for text in texts])["test"]
    told = np.array([1] * 5 + [0] * 50)
    rates = {
        r["group"]: (r["tweets"], r["errors"]) for r in error_rates(split, HATE, np.zeros(55, int), told)
    }
    assert rates == {"": (55, 5), "women": (25, 5)}


def test_a_group_is_named_by_whole_words_and_never_by_a_mention() -> None:
    texts = ["Women!", "#women", "womens", "@women", "trans-women", "women's"]
    assert naming(texts, r"wom[ae]n").tolist() == [True, True, False, False, True, True]


def test_what_was_held_out_is_shown_apart() -> None:
    rows = deepfake(validation=PEOPLE[:45], test=PEOPLE, **{"held-out": PEOPLE[40:]})
    config = dataclasses.asdict(TrainConfig(task="deepfake", data=DataConfig(hold_out="account:1/2")))
    made = evidence(rows, DEEPFAKE, card=card(task="deepfake", config=config))
    section = held_out(made)
    assert section is not None
    assert "`account:1/2` was kept" in section.text[0]
    assert rows_of(section.tables[0])["human"] == (20, 1.0)
    assert rows_of(section.tables[1])["dril"] == (50, pytest.approx(40 / 50))
    assert made.final == "test"
    assert held_out(evidence()) is None


def test_a_report_stands_its_sections_in_order_and_probes_before_the_lineage() -> None:
    probe = Section(title="A probe")
    titles = [section.title for section in report(evidence(card=card()), [probe]).sections]
    assert titles[0] == "Headline"
    assert titles[-2:] == ["A probe", "Where this comes from"]
    assert "Shift between the splits" in titles
