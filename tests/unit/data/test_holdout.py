from pathlib import Path

import pytest
from datasets import DatasetDict

from tests.support.fakes import card
from tweetelm.config.text_config import TextConfig
from tweetelm.config.train_config import DataConfig, TrainConfig, to_dict
from tweetelm.data import SAMPLE, hold_out, load, training_rows
from tweetelm.data.holdout import persona_folds
from tweetelm.data.personas import persona
from tweetelm.registry import current_version, publish
from tweetelm.tasks import DEEPFAKE, HATE


@pytest.fixture(scope="module")
def sample() -> DatasetDict:
    return load(DEEPFAKE, SAMPLE)


def test_a_human_and_all_who_imitate_them_are_one_persona() -> None:
    accounts = ["realDonaldTrump", "DeepDrumpf", "gpt2_trump", "elonmusk", "somebody"]
    assert [persona(account) for account in accounts] == ["trump", "trump", "trump", "musk", "somebody"]


def test_folds_hold_every_persona_once_and_about_as_many_rows() -> None:
    accounts = ["a"] * 50 + ["b"] * 30 + ["c"] * 21 + ["d"] * 20 + ["realDonaldTrump", "botustrump"] * 4
    folds = persona_folds(accounts, 2)
    assert folds == [{"a", "d"}, {"b", "c", "trump"}]


def test_a_held_out_generator_is_in_no_row_that_is_learned_from(sample: DatasetDict) -> None:
    found = hold_out(sample, "generator:rnn")
    assert "rnn" not in {*found["train"]["class_type"], *found["validation"]["class_type"]}
    assert set(found["held-out"]["class_type"]) == {"rnn"}
    rows = sum(list(split["class_type"]).count("rnn") for split in sample.values())
    assert len(found["held-out"]) == rows
    assert found["test"]["text"] == sample["test"]["text"]
    assert len(found["train"]) == len(sample["train"]) - list(sample["train"]["class_type"]).count("rnn")


def test_every_account_is_held_out_in_one_fold(sample: DatasetDict) -> None:
    accounts: list[str] = []
    for fold in (1, 2, 3):
        found = hold_out(sample, f"account:{fold}/3")
        held, learned = set(found["held-out"]["screen_name"]), set(found["train"]["screen_name"])
        assert held
        assert not held & learned
        assert not held & set(found["validation"]["screen_name"])
        accounts += held
    assert sorted(accounts) == sorted(set(sample["train"]["screen_name"]))


def test_training_excludes_held_out_duplicates(sample: DatasetDict) -> None:
    found = hold_out(sample, "generator:rnn")
    copied = found["train"].add_item(dict(found["held-out"][0]) | {"class_type": "human", "label": 0})
    rows, left_out = training_rows(
        DatasetDict({**found, "train": copied}), drop_overlap=True, text=TextConfig()
    )
    plain, before = training_rows(found, drop_overlap=True, text=TextConfig())
    assert len(rows) == len(plain)
    assert left_out["overlap"] == before["overlap"] + 1


@pytest.mark.parametrize(
    "rule", ["gpt2", "account:0/5", "account:6/5", "account:1/1", "generator:", "account:a/b"]
)
def test_a_malformed_rule_is_refused_with_the_forms_there_are(rule: str) -> None:
    with pytest.raises(ValueError, match="expected account:<fold>/<folds>"):
        DataConfig(hold_out=rule)


def test_a_rule_that_names_nothing_says_what_there_is(sample: DatasetDict) -> None:
    with pytest.raises(ValueError, match=r"expected a generator \(others, rnn\)"):
        hold_out(sample, "generator:gpt5")
    with pytest.raises(ValueError, match="needs the column class_type"):
        hold_out(load(HATE, SAMPLE), "generator:gpt2")
    assert hold_out(sample, None) is sample


def test_a_model_with_rows_held_out_is_stored_and_never_served(source: Path, registry: str) -> None:
    config = to_dict(TrainConfig(task="hate", data=DataConfig(hold_out="account:1/5")))
    measurement = card(validation=0.99, config=config)
    published = publish(source, measurement, registry=registry, replace=True)
    assert not published.promoted
    assert "trained with account:1/5 held out" in published.reason
    assert current_version("hate", registry=registry) is None
    assert "trained with account:1/5 held out: for measurement, not for serving" in measurement.notices
