"""Sections on errors: the worst ones, by group, and held-out groups."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.fakes import card, dataset
from tests.support.report import report_context, rows_of
from tweetelm.config.train_config import DataConfig, TrainConfig, to_dict
from tweetelm.evaluation.fairness import error_rates, naming
from tweetelm.evaluation.report.sections.errors import bias, worst, worst_errors
from tweetelm.evaluation.report.sections.splits import held_out
from tweetelm.tasks import DEEPFAKE, HATE


def test_worst_errors_are_rows_by_confidence() -> None:
    made = report_context()
    assert worst(made.result).tolist() == [4, 5]  # FINE and new, both with probability 1
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
    made = report_context(split, DEEPFAKE)
    rates = {(r["label"], r["group"]): (r["tweets"], r["errors"]) for r in made.result.metrics["error_rates"]}
    assert rates == {
        ("human", ""): (60, 10), ("human", "dril"): (20, 0), ("human", "musk"): (40, 10),
        ("bot", ""): (30, 10), ("bot", "dril"): (30, 10),
    }  # fmt: skip
    table = bias(made).tables[1]
    assert table.rows == (("human", 2, 0.0, 0.125, 0.25),)


def test_false_positives_are_counted_by_named_group() -> None:
    texts = ["a woman spoke"] * 15 + ["#Women spoke"] * 10 + ["the germans spoke"] * 30
    split = dataset(HATE, test=[(text, 0) for text in texts])["test"]
    predicted = np.array([1] * 5 + [0] * 50)
    rates = {
        r["group"]: (r["tweets"], r["errors"]) for r in error_rates(split, HATE, np.zeros(55, int), predicted)
    }
    assert rates == {"": (55, 5), "women": (25, 5)}


def test_groups_match_whole_words_not_mentions() -> None:
    texts = ["Women!", "#women", "womens", "@women", "trans-women", "women's"]
    assert naming(texts, r"wom[ae]n").tolist() == [True, True, False, False, True, True]


def test_held_out_rows_have_a_section() -> None:
    rows = deepfake(validation=PEOPLE[:45], test=PEOPLE, **{"held-out": PEOPLE[40:]})
    config = to_dict(TrainConfig(task="deepfake", data=DataConfig(hold_out="account:1/2")))
    made = report_context(rows, DEEPFAKE, card=card(task="deepfake", config=config))
    section = held_out(made)
    assert section is not None
    assert "`account:1/2` was held out" in section.text[0]
    assert rows_of(section.tables[0])["human"] == (20, 1.0)
    assert rows_of(section.tables[1])["dril"] == (50, pytest.approx(40 / 50))
    assert made.final == "test"
    assert held_out(report_context()) is None
