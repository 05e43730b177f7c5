"""SmolLM2-135M from its package: logits of transformers' Llama, tokens of llama.cpp, English."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaForCausalLM

from tests.support.llamas import check_parity
from tests.support.places import GOLDEN
from tweetelm.openelm import OpenELMForCausalLM
from tweetelm.openelm.checkpoints.llama_presets import find_llama, import_once
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.openelm.checkpoints.tokenizer import load_tokenizer
from tweetelm.openelm.presets import PRESETS

TOKENS = GOLDEN / "smollm2_tokens.json"  # made by tools/smollm2_tokens.py
PRESET = PRESETS["smollm2-135m"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source() -> Path:
    """The GGUF file of the installed package."""
    assert PRESET.package is not None
    try:
        return find_llama(PRESET, PRESET.package.requirement).path
    except FileNotFoundError as error:
        pytest.skip(f"{error}, or `make pretrained`")


@pytest.fixture(scope="module")
def folder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return import_once(find_llama(PRESET), "smollm2-135m", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def model(folder: Path) -> OpenELMForCausalLM:
    return load_weights(OpenELMForCausalLM, folder).eval()


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return load_tokenizer(folder)


def test_logits_equal_llama(folder: Path, tokenizer: Tokenizer, source: Path) -> None:
    """In float32, both differ from float64 at the first token of a text: on a Xeon, ours by 1.0e-4, Llama by
    2.7e-4; on an AMD EPYC they are 6.6e-4 apart."""
    ours = load_weights(OpenELMForCausalLM, folder).eval()
    theirs = LlamaForCausalLM.from_pretrained(source.parent, gguf_file=source.name).eval()
    texts = ["People who tweet at 3 am are 100% fine.", "no", "@user that's  what I said 😂 http"]
    rows = [tokenizer.encode(text).ids for text in texts]
    check_parity(ours, theirs, rows, tolerance=1e-3)
    check_parity(ours.double(), theirs.double(), rows)


def test_tokens_equal_llama_cpp(tokenizer: Tokenizer) -> None:
    golden = json.loads(TOKENS.read_text(encoding="utf-8"))
    assert len(golden) >= 100
    for text, ids in golden:
        assert tokenizer.encode(text).ids[1:] == ids, text


def test_a_prompt_is_continued_in_english(model: OpenELMForCausalLM, folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False, pad_token_id=0)
    assert "Paris" in tokenizer.decode(answer[0])
