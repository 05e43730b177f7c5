"""The embedded synthetic sample: complete, reproducible, disjoint and neither trivial nor impossible."""

import csv
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from tools.sample_data.__main__ import SIZES, human_and_markov_rows, rnn_rows, write_hate
from tools.sample_data.machines import MarkovChain, train_character_model
from tools.sample_data.phrases import expand
from tweetelm.config.text_config import TextConfig
from tweetelm.data import load, provenance, training_rows
from tweetelm.data.audit.check import check
from tweetelm.data.load import folder
from tweetelm.tasks import DEEPFAKE, HATE, SYNTHETIC_NOTICE, Task
from tweetelm.text.normalize import normalize

TASKS = pytest.mark.parametrize("task", [HATE, DEEPFAKE], ids=lambda task: task.name)


@TASKS
def test_the_sample_has_its_sizes_and_says_that_it_is_synthetic(task: Task) -> None:
    source = provenance(task, "sample")
    assert source.rows == SIZES
    assert source.synthetic
    assert SYNTHETIC_NOTICE in (folder(task, "sample").parent / "README.md").read_text("utf-8")


@TASKS
def test_a_copy_of_the_sample_is_still_known_as_synthetic(task: Task, tmp_path: Path) -> None:
    (tmp_path / task.name).mkdir()
    for file in folder(task, "sample").iterdir():
        (tmp_path / task.name / file.name).write_bytes(file.read_bytes())
    assert provenance(task, tmp_path).synthetic


@TASKS
def test_no_row_of_the_sample_stands_in_two_splits(task: Task) -> None:
    dataset = load(task, "sample")
    texts = [normalize(text) for split in dataset.values() for text in split["text"]]
    assert len(texts) == len(set(texts)) == sum(SIZES.values())
    assert training_rows(dataset, drop_overlap=True, text=TextConfig())[1] == {"empty": 0, "overlap": 0}


def test_the_hate_sample_regenerates_byte_for_byte(tmp_path: Path) -> None:
    write_hate(tmp_path)
    kept = folder(HATE, "sample")
    assert {f.name: f.read_bytes() for f in tmp_path.iterdir()} == {
        f.name: f.read_bytes() for f in kept.iterdir()
    }


@pytest.mark.parametrize("split", SIZES)
def test_the_human_and_markov_rows_regenerate_byte_for_byte(split: str) -> None:
    humans, markov = human_and_markov_rows()
    with (folder(DEEPFAKE, "sample") / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        kept = [tuple(row) for row in csv.reader(file, delimiter=";")][1:]
    assert sorted(row for row in kept if row[3] != "rnn") == sorted(humans[split] + markov[split])


def test_deepfake_sample_class_shares() -> None:
    for split, counts in check(DEEPFAKE, "sample").splits.items():
        size = SIZES[split]
        assert counts.groups == {"human": size // 2, "others": size // 4, "rnn": size // 4}


def test_markov_chain_uses_only_seen_bigrams() -> None:
    chain = MarkovChain(["The cat sat.", "A cat ran, sat, ran!"])
    rng = random.Random(0)
    written = {chain.write(rng) for _ in range(200)}
    pairs = {pair for text in written for pair in zip(text.split(), text.split()[1:], strict=False)}
    assert pairs == {
        ("the", "cat"),
        ("a", "cat"),
        ("cat", "sat"),
        ("cat", "ran"),
        ("ran", "sat"),
        ("sat", "ran"),
    }


def test_the_character_model_learns_a_text_by_heart() -> None:
    model = train_character_model(["abcabcab"] * 16, seed=0, epochs=60)
    generator = torch.Generator().manual_seed(0)
    written = Counter(model.write(generator, temperature=0.5) for _ in range(10))
    assert written["abcabcab"] >= 8


def test_rnn_rows_are_distinct_rows_of_a_bot_and_never_a_humans() -> None:
    humans = [f"the {a} {b} sleeps" for a in ("old", "big", "red") for b in ("cat", "dog", "cow")]
    rows = [row for split in rnn_rows(humans).values() for row in split]
    assert len({text for _, text, _, _ in rows}) == sum(SIZES.values()) // 4
    assert not {text for _, text, _, _ in rows} & set(humans)
    assert {(kind, generator) for _, _, kind, generator in rows} == {("bot", "rnn")}


def test_expand_fills_every_slot() -> None:
    grammar = {"row": "{a} {b}", "a": "x|y", "b": "{a}{a}|z"}
    written = {expand("row", grammar, random.Random(seed)) for seed in range(200)}
    assert written == {f"{a} {b}" for a in "xy" for b in ("xx", "xy", "yx", "yy", "z")}


@TASKS
def test_the_sample_is_learnable_but_not_from_word_counts_alone(task: Task) -> None:
    dataset = load(task, "sample")
    features = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\b\w+\b|[^\w\s]"
    )
    seen = features.fit_transform(map(normalize, dataset["train"]["text"]))
    model = LogisticRegression(C=4).fit(seen, dataset["train"]["label"][:])
    unseen = features.transform(map(normalize, dataset["test"]["text"]))
    assert 0.8 < model.score(unseen, dataset["test"]["label"][:]) < 0.96


def test_the_hate_sample_names_only_invented_groups() -> None:
    groups = re.compile(r"Zorblaxian|moon p|Glimmer|Mud Wizard|Tentaculite|Vorn|Cloud Gnome")
    dataset = load(HATE, "sample")
    hateful = [t for s in dataset.values() for t, y in zip(s["text"], s["label"], strict=True) if y == 1]
    assert len(hateful) > 300
    assert all(groups.search(text) for text in hateful)
