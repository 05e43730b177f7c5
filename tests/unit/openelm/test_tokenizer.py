"""Tokenizers: exact conversion from SentencePiece, training, saving and loading."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

import tweetelm.openelm  # noqa: F401  # AutoTokenizer meets a config.json of ours
from tests.support.checkpoints import LINES, TWEETS, checkpoint, edit_json, small_tokenizer
from tweetelm.openelm.checkpoints.tokenizer import (
    TOKENIZER_FILE,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

SPACED = [
    "the  end",
    "the   end",
    "of    all  things",
    "  two before",
    " one before",
    "two after  ",
    "ha ha  ha   ha    ha",
    "a\n\nb\t c",
]
ODD = [" ", "   ", "<s>", "</s> <unk>", "<0x41>", "▁", "a▁b", "👩🏽‍🚀", "\u200d", "é", "Ünïcödé"]
TEXTS = [*LINES, *TWEETS, *SPACED, *ODD]
LLAMA = {  # training settings of Llama's model that affect tokenization
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
    "character_coverage": 0.995,
    "minloglevel": 2,
    "num_threads": 1,
}
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
spaced = st.text(st.sampled_from("aehlost ▁😂<>/."), max_size=40)


def train_sentencepiece(folder: Path, **changes: Any) -> Path:
    lines = (LINES + SPACED) * 4
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_prefix=str(folder / "tokenizer"),
        **{"vocab_size": 420} | LLAMA | changes,
    )
    return folder / "tokenizer.model"


@pytest.fixture(scope="module")
def llama_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_sentencepiece(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def original(llama_like: Path) -> Callable[[str], list[int]]:
    model = sentencepiece.SentencePieceProcessor(model_file=str(llama_like))
    return lambda text: [model.bos_id(), *model.encode(text)]


@pytest.fixture(scope="module")
def converted(llama_like: Path) -> Tokenizer:
    return load_tokenizer(llama_like)


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return small_tokenizer()


@pytest.mark.parametrize("text", TEXTS)
def test_the_conversion_reads_a_text_as_sentencepiece_does(
    converted: Tokenizer, original: Callable[[str], list[int]], text: str
) -> None:
    assert converted.encode(text).ids == original(text)


def test_vocabulary_has_multi_space_pieces(converted: Tokenizer) -> None:
    pieces = converted.get_vocab()
    assert {"▁", "▁▁", "▁▁▁", "<0x0A>", "<s>"} <= pieces.keys()
    assert "▁" in converted.encode("the  end").tokens[-2]


@given(text=strings | spaced)
def test_the_conversion_reads_any_text_as_sentencepiece_does(
    converted: Tokenizer, original: Callable[[str], list[int]], text: str
) -> None:
    assert converted.encode(text).ids == original(text)


def test_runs_and_mixtures_convert_without_a_difference(
    converted: Tokenizer, original: Callable[[str], list[int]]
) -> None:
    choose = random.Random(0)
    parts = [
        "ha",
        "the ",
        " ",
        "  ",
        "   ",
        "biscuit",
        "tuba",
        "s",
        "e",
        "😂",
        "é",
        "<s>",
        ".",
        ", ",
        "at",
        "night",
    ]
    for _ in range(3000):
        text = "".join(choose.choice(parts) * choose.randint(1, 4) for _ in range(choose.randint(1, 12)))
        assert converted.encode(text).ids == original(text), text


def test_decoding_gives_the_text_back(converted: Tokenizer) -> None:
    for text in TEXTS:
        assert converted.decode(converted.encode(text).ids) == text.replace("▁", " ")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model_type": "unigram", "vocab_size": 310}, "the BPE algorithm"),
        ({"normalization_rule_name": "nmt_nfkc"}, "no normalization of text"),
        ({"remove_extra_whitespaces": True}, "white space as it is"),
        ({"add_dummy_prefix": False}, "a space before every text"),
        ({"bos_id": -1}, "<s> as a control piece"),
        ({"user_defined_symbols": ["@user"]}, "no pieces defined by hand"),
    ],
)
def test_a_model_that_reads_text_in_another_way_is_refused(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    path = train_sentencepiece(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"tokenizer.model cannot be converted: expected {expected}"):
        load_tokenizer(path)


@given(text=strings)
def test_a_trained_tokenizer_never_gives_unk_and_loses_nothing(trained: Tokenizer, text: str) -> None:
    encoded = trained.encode(text)
    assert 0 not in encoded.ids
    assert encoded.ids[0] == 1
    assert trained.decode(encoded.ids).removeprefix(" ") == text.removeprefix(" ")


def test_specials_of_a_trained_tokenizer_have_llamas_ids(trained: Tokenizer) -> None:
    assert [trained.token_to_id(piece) for piece in ("<unk>", "<s>", "</s>")] == [0, 1, 2]
    assert trained.encode("").ids == [1]
    assert 1 not in trained.encode("<s> </s>").ids[1:]
    assert 2 not in trained.encode("<s> </s>").ids


def test_tokenizer_training_is_deterministic() -> None:
    first, second = (train_tokenizer(LINES * 3, 300) for _ in range(2))
    assert first.get_vocab_size() <= 300
    assert first.to_str() == second.to_str()


@pytest.mark.parametrize("kind", ["converted", "trained"])
def test_saved_and_read_back_it_gives_the_same_ids(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    save_tokenizer(tokenizer, tmp_path, 64)
    again = load_tokenizer(tmp_path)
    assert [again.encode(text).ids for text in TEXTS] == [tokenizer.encode(text).ids for text in TEXTS]


@pytest.mark.parametrize("kind", ["converted", "trained"])
def test_transformers_reads_the_saved_folder_as_we_do(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    save_tokenizer(tokenizer, tmp_path, 64)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert [theirs(text)["input_ids"] for text in TEXTS] == [tokenizer.encode(text).ids for text in TEXTS]
    padded = theirs(TEXTS[:4], padding=True)
    for ids, mask, text in zip(padded["input_ids"], padded["attention_mask"], TEXTS, strict=False):
        assert ids[: sum(mask)] == tokenizer.encode(text).ids


def test_transformers_auto_class_reads_a_checkpoint_as_we_do(tmp_path: Path) -> None:
    theirs, ours = AutoTokenizer.from_pretrained(checkpoint(tmp_path)), small_tokenizer()
    assert [theirs(text)["input_ids"] for text in TEXTS] == [ours.encode(text).ids for text in TEXTS]


def test_tokenizer_json_wins_over_tokenizer_model(
    llama_like: Path, trained: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "tokenizer.model").write_bytes(llama_like.read_bytes())
    assert load_tokenizer(tmp_path).get_vocab_size() == 420
    save_tokenizer(trained, tmp_path, 64)
    assert load_tokenizer(tmp_path).encode(LINES[0]).ids == trained.encode(LINES[0]).ids


def test_padding_and_truncation_of_a_file_are_ignored(trained: Tokenizer, tmp_path: Path) -> None:
    other = Tokenizer.from_str(trained.to_str())
    other.enable_truncation(4)
    other.enable_padding(length=9, direction="left")
    other.save(str(tmp_path / TOKENIZER_FILE))
    again = load_tokenizer(tmp_path)
    rows = again.encode_batch([LINES[0], "x"])
    assert [row.ids for row in rows] == [trained.encode(LINES[0]).ids, trained.encode("x").ids]


@pytest.mark.parametrize("name", [TOKENIZER_FILE, "tokenizer.model"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b'{"version": ')
    with pytest.raises(
        ValueError, match=rf"{tmp_path / name} is not a (SentencePiece model|tokenizer) \(.*copy or"
    ):
        load_tokenizer(tmp_path)


def test_an_empty_sentencepiece_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").touch()
    with pytest.raises(ValueError, match="expected pieces"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("bos", ["[BOS]", "<|endoftext|>"])
def test_the_file_says_which_token_starts_a_text(trained: Tokenizer, tmp_path: Path, bos: str) -> None:
    (tmp_path / TOKENIZER_FILE).write_text(trained.to_str().replace('"<s>"', f'"{bos}"'))
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("x <s>").tokens[0] == bos
    save_tokenizer(tokenizer, tmp_path, 64)
    assert AutoTokenizer.from_pretrained(tmp_path).bos_token == bos


def test_tokenizer_config_names_the_missing_bos(trained: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(trained, tmp_path, 64)
    edit_json(tmp_path / TOKENIZER_FILE, post_processor=None)
    assert load_tokenizer(tmp_path).encode("x").ids == trained.encode("x").ids


def test_a_tokenizer_without_bos_is_refused(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save(str(tmp_path / TOKENIZER_FILE))
    edit_json(tmp_path / TOKENIZER_FILE, post_processor=None)
    with pytest.raises(ValueError, match=r"tokenizer.json has no token that starts a text; expected a"):
        load_tokenizer(tmp_path)


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no tokenizer at {tmp_path}: expected tokenizer.json or"):
        load_tokenizer(tmp_path)
