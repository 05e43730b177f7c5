"""Texts to token ids to batches, and the encoding settings of a checkpoint."""

import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.checkpoints import LINES, TWEETS, edit_json, small_tokenizer
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import ENCODING_FILE, Encoded, Encoder, token_batches
from tweetelm.tasks import DEEPFAKE, HATE
from tweetelm.text.normalize import normalize


def encoder(max_tokens: int = 24, **text: Any) -> Encoder:
    return Encoder(tokenizer=small_tokenizer(), text=TextConfig(**text), max_tokens=max_tokens)


def test_an_empty_text_is_bos_alone() -> None:
    assert encoder().encode([""]) == [Encoded((1,), False)]
    assert encoder().encode([" \n "]) == [Encoded((1,), False)]
    assert encoder().encode([]) == []


def test_a_text_is_normalized_before_it_is_tokenized() -> None:
    masked, spelled = encoder().encode(["&amp; @someone  https://example.org", "& @user http"])
    assert masked == spelled
    raw = encoder(form="raw").encode(["@someone"])[0]
    assert raw.ids == tuple(small_tokenizer().encode("@someone").ids)


def test_truncation_is_told_exactly_when_something_is_cut() -> None:
    full = encoder(999).encode(LINES[:1])[0]
    length = len(full.ids)
    assert not full.truncated
    assert encoder(length).encode(LINES[:1]) == [full]
    assert encoder(length - 1).encode(LINES[:1]) == [Encoded(full.ids[:-1], True)]


@given(texts=st.lists(st.text(max_size=60), max_size=5), limit=st.integers(2, 12))
def test_any_text_gives_bos_first_and_no_more_than_the_limit(texts: list[str], limit: int) -> None:
    rows = encoder(limit).encode(texts)
    whole = encoder(10_000).encode(texts)
    assert len(rows) == len(texts)
    for row, full in zip(rows, whole, strict=True):
        assert row.ids[0] == 1
        assert row.ids == full.ids[:limit]
        assert row.truncated == (len(full.ids) > limit)


@pytest.mark.parametrize("form", ["tweet", "raw"])
def test_a_text_far_longer_than_the_limit_is_cut_first(form: Any) -> None:
    reader = encoder(24, form=form)
    long = "a word " * 300_000
    started = time.process_time()
    (row,) = reader.encode([long])
    assert time.process_time() - started < 0.2, "truncated: 1 ms; the whole text: seconds"
    assert row == Encoded(reader.encode(["a word " * 100])[0].ids, True)


def test_a_text_of_marks_alone_costs_no_more_than_its_head() -> None:
    started = time.process_time()
    (row,) = encoder(256).encode(["a" + "\u0301\u0316" * 100_000])
    assert time.process_time() - started < 1, "truncated: milliseconds; the whole text: a minute"
    assert row.truncated


def test_a_texts_tokens_do_not_depend_on_its_neighbours() -> None:
    together = encoder().encode(TWEETS)
    assert [encoder().encode([text])[0] for text in TWEETS] == together


def test_the_same_encoder_can_read_texts_in_another_way() -> None:
    off = encoder(17)
    on = off.with_text(TextConfig(defend=True))
    assert (on.tokenizer, on.max_tokens, on.text.defend, off.text.defend) == (off.tokenizer, 17, True, False)
    assert on.encode(["h\u200bаte"]) == off.encode(["hate"]) != off.encode(["h\u200bаte"])


def test_settings_travel_with_the_folder(tmp_path: Path) -> None:
    saved = encoder(17, mask_links=False, shorten_stretches=True)
    saved.save(tmp_path, DEEPFAKE)
    loaded, task = Encoder.load(tmp_path)
    assert task is DEEPFAKE
    assert (loaded.text, loaded.max_tokens) == (saved.text, 17)
    texts = [*TWEETS, "sooooooo https://example.org", "<s>"]
    assert loaded.encode(texts) == saved.encode(texts)
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again, task)
    for name in ("tokenizer.json", "tokenizer_config.json", ENCODING_FILE):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_settings_file_has_task_labels_and_text_config(tmp_path: Path) -> None:
    encoder().save(tmp_path, HATE)
    assert json.loads((tmp_path / ENCODING_FILE).read_text()) == {
        "task": "hate",
        "labels": ["not-hate", "hate"],
        "text": dataclasses.asdict(TextConfig()),
        "max_tokens": 24,
    }


def test_a_folder_of_another_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"encoding.json does not exist; expected a folder with a checkpoint"
    ):
        Encoder.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": ["hate", "not-hate"]},
            r"has labels \['hate', 'not-hate'\]; task 'hate' has",
        ),
        ({"task": "irony"}, "is damaged .*task is 'irony'; expected hate, deepfake or a definition"),
        ({"text": {"form": "shout"}}, "is damaged .*text.form is 'shout'"),
        ({"text": {"loud": True}}, "is damaged .*loud"),
        ({"text": None}, "is damaged .*KeyError: 'text'"),
        ({"max_tokens": "many"}, "is damaged .*many"),
    ],
)
def test_settings_that_are_not_ours_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    encoder().save(tmp_path, HATE)
    edit_json(tmp_path / ENCODING_FILE, **changes)
    with pytest.raises(ValueError, match=f"{tmp_path / ENCODING_FILE} {message}"):
        Encoder.load(tmp_path)


def test_settings_that_are_no_json_are_refused(tmp_path: Path) -> None:
    (tmp_path / ENCODING_FILE).write_text("{")
    with pytest.raises(ValueError, match=r"encoding.json is damaged .*copy the folder again"):
        Encoder.load(tmp_path)


def test_encoder_reads_normalized_texts() -> None:
    read = encoder(999)
    for text in TWEETS:
        ids = read.encode([text])[0].ids
        assert read.tokenizer.decode(list(ids)).removeprefix(" ") == normalize(text)


@given(lengths=st.lists(st.integers(1, 90), max_size=60), budget=st.integers(1, 120))
def test_batches_cover_all_rows_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = token_batches(lengths, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[row] for row in batch) <= budget or len(batch) == 1
    for batch, following in itertools.pairwise(batches):  # the next row did not fit
        assert sum(lengths[row] for row in batch) + lengths[following[0]] > budget


def test_rows_of_one_length_are_neighbours_in_the_order_given() -> None:
    assert token_batches([3, 1, 3, 1, 2], 100) == [[1, 3, 4, 0, 2]]


def test_a_row_longer_than_the_budget_stands_alone() -> None:
    assert token_batches([500, 2, 3], 10) == [[1, 2], [0]]
    assert token_batches([], 10) == []
