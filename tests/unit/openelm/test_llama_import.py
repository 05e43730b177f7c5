"""Import of Llama checkpoints: equal logits, equal tokens, refusals."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, LlamaForCausalLM

from tests.support.checkpoints import TWEETS, edit_json, small_tokenizer
from tests.support.llamas import check_parity, llama, save, write_gguf
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig
from tweetelm.files.hashing import sha256
from tweetelm.files.origin import ORIGIN_FILE, read_origin
from tweetelm.openelm import OpenELMForCausalLM
from tweetelm.openelm.checkpoints.llama_import import import_llama
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.openelm.checkpoints.tokenizer import bos_token, load_tokenizer
from tweetelm.predictor import Predictor
from tweetelm.registry.base_model import base_of
from tweetelm.training.build_classifier import build_state
from tweetelm.training.checkpoint import save_checkpoint
from tweetelm.training.phases import plan
from tweetelm.training.prepare import prepare

SHAPES: dict[str, dict[str, Any]] = {
    "grouped heads": {"num_attention_heads": 6, "num_key_value_heads": 2},
    "one head each": {"num_attention_heads": 4, "num_key_value_heads": 4},
    "one key-value head": {"num_attention_heads": 4, "num_key_value_heads": 1, "rope_theta": 1e5},
    "wide heads": {"num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 24, "rms_norm_eps": 1e-6},
    "odd feed-forward": {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 131},
}
IDS = [[0, 5, 9, 200, 17, 3, 3], [0, 7], [0, 250, 61, 9]]


@pytest.mark.parametrize("shape", SHAPES)
def test_logits_equal_llama(shape: str, tmp_path: Path) -> None:
    theirs = llama(**SHAPES[shape])
    import_llama(save(theirs, tmp_path / "llama"), tmp_path / "ours")
    check_parity(load_weights(OpenELMForCausalLM, tmp_path / "ours").eval(), theirs, IDS)


@pytest.mark.parametrize("shape", list(SHAPES)[:4])
def test_gguf_equals_llama(shape: str, tmp_path: Path) -> None:
    theirs = llama(**SHAPES[shape])
    source = write_gguf(theirs, tmp_path / "m.gguf")
    import_llama(source, tmp_path / "ours")
    check_parity(load_weights(OpenELMForCausalLM, tmp_path / "ours").eval(), theirs, IDS)
    independent = LlamaForCausalLM.from_pretrained(tmp_path, gguf_file="m.gguf")  # another reader
    torch.testing.assert_close(independent.state_dict(), theirs.state_dict())


def test_the_imported_folder_is_a_transformers_model(tmp_path: Path) -> None:
    theirs = llama(**SHAPES["grouped heads"])
    import_llama(save(theirs, tmp_path / "llama"), tmp_path / "ours")
    ours = OpenELMForCausalLM.from_pretrained(tmp_path / "ours")
    row = torch.tensor(IDS[:1])
    settings = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(ours.generate(row, **settings), theirs.generate(row, **settings))


def test_gguf_tokens_equal_the_original(tmp_path: Path) -> None:
    import_llama(write_gguf(llama(**SHAPES["grouped heads"]), tmp_path / "m.gguf"), tmp_path / "ours")
    tokenizer = load_tokenizer(tmp_path / "ours")
    for text in ["  two spaces", "1984 and 42", *TWEETS]:
        tokens = tokenizer.encode(text).tokens
        assert tokens[0] == "<s>"
        assert not any(len(token) > 1 and any(map(str.isdigit, token)) for token in tokens)
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert AutoTokenizer.from_pretrained(tmp_path / "ours").eos_token == "</s>"


@pytest.mark.parametrize(
    ("start", "token"), [(None, "<s>"), ("<unk>", "<unk>")], ids=["by default", "by name"]
)
def test_the_start_token_comes_from_the_checkpoint(start: str | None, token: str, tmp_path: Path) -> None:
    import_llama(save(llama(), tmp_path / "llama"), tmp_path / "ours", start=start)
    assert load_tokenizer(tmp_path / "ours").encode("x").tokens[0] == token
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["bos_token_id"] == small_tokenizer().token_to_id(token)


def test_the_document_separator_starts_texts_of_smollm(tmp_path: Path) -> None:
    folder = save(llama(), tmp_path / "llama")
    text = small_tokenizer().to_str().replace('"<s>"', '"<|endoftext|>"')
    content = json.loads(text) | {"post_processor": None}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    import_llama(folder, tmp_path / "ours")
    assert load_tokenizer(tmp_path / "ours").encode("x").tokens[0] == "<|endoftext|>"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_bias": True}, "biases in attention"),
        ({"mlp_bias": True}, "biases in feed-forward layers"),
        ({"tie_word_embeddings": False}, "an output layer of its own"),
        ({"hidden_act": "gelu"}, "the activation 'gelu'; expected 'silu'"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "RoPE scaling"),
        ({"sliding_window": 16}, "a sliding window"),
        ({"head_dim": 15}, "requires an even rotary dimension"),
        (
            {"model_type": "mistral", "architectures": ["MistralForCausalLM"]},
            "of a 'MistralForCausalLM' model",
        ),
    ],
)
def test_a_foreign_feature_is_refused_by_name(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = save(llama(), tmp_path / "llama")
    edit_json(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        import_llama(folder, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llama__rope__scaling__type": "linear"}, "llama.rope.scaling.type 'linear'"),
        ({"llama__attention__sliding_window": 64}, "llama.attention.sliding_window 64"),
        ({"llama__expert_count": 4}, "llama.expert_count 4"),
    ],
)
def test_a_gguf_feature_that_openelm_lacks_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    source = write_gguf(llama(), tmp_path / "m.gguf", **changes)
    with pytest.raises(ValueError, match=message):
        import_llama(source, tmp_path / "ours")


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    folder = save(llama(), tmp_path / "llama")
    edit_json(folder / "config.json", num_hidden_layers=4)
    with pytest.raises(ValueError, match=r"missing in .*: model.layers.3.input_layernorm.weight, .* and 6"):
        import_llama(folder, tmp_path / "ours")


@pytest.mark.parametrize("damage", [b"", b"GGUF", b"no GGUF file at all"])
def test_a_damaged_gguf_file_is_named(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(damage)
    with pytest.raises(ValueError, match=r"m.gguf is not a GGUF file \(.*copy or download it again"):
        import_llama(tmp_path / "m.gguf", tmp_path / "ours")


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    source = save(llama(), tmp_path / "llama")
    (tmp_path / "ours").mkdir()
    with pytest.raises(FileExistsError, match="ours exists; expected the name of a new folder"):
        import_llama(source, tmp_path / "ours")


def test_the_origin_is_recorded(tmp_path: Path) -> None:
    source = write_gguf(llama(), tmp_path / "m.gguf", general__license="apache-2.0", general__name="Tiny")
    import_llama(source, tmp_path / "ours", revision="abc")
    origin = json.loads((tmp_path / "ours" / ORIGIN_FILE).read_text())
    assert origin.pop("sha256") == sha256(source)
    assert origin == {
        "base": "Tiny",
        "file": "m.gguf",
        "quantization": "F32",
        "license": "apache-2.0",
        "revision": "abc",
    }


def test_a_folder_without_a_license_says_so(tmp_path: Path) -> None:
    import_llama(save(llama(), tmp_path / "llama"), tmp_path / "ours")
    origin = read_origin(tmp_path / "ours")
    assert origin is not None
    assert origin["license"] == "not stated"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 300}, r"token_embeddings.weight has the shape \[320, 48\]; expected \[300, 48\]"),
        ({"intermediate_size": 64}, r"proj_1.weight has the shape \[192, 48\]; expected \[128, 48\]"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = save(llama(), tmp_path / "llama")
    edit_json(folder / "config.json", **changes)
    with pytest.raises(ValueError, match=message):
        import_llama(folder, tmp_path / "ours")


def test_gguf_tokenizers_of_another_kind_are_refused(tmp_path: Path) -> None:
    source = write_gguf(llama(), tmp_path / "m.gguf", pre="llama-bpe")
    with pytest.raises(ValueError, match="tokenizer of type 'gpt2', 'llama-bpe'; expected 'gpt2', 'smollm'"):
        import_llama(source, tmp_path / "ours")


def test_a_token_after_the_text_does_not_start_it(tmp_path: Path) -> None:
    tokenizer = small_tokenizer()
    other = Tokenizer.from_str(tokenizer.to_str())
    other.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    assert bos_token(other) is None
    assert bos_token(tokenizer) == "<s>"


def test_checkpoints_of_an_imported_model_keep_its_origin(tmp_path: Path) -> None:
    import_llama(save(llama(), tmp_path / "llama"), tmp_path / "ours", license="mit")
    config = override(
        TrainConfig(task="hate"), {"model.name": str(tmp_path / "ours"), "model.max_tokens": 32}
    )
    config = override(config, {"data.root": "sample", "data.limit": 40})
    prepared = prepare(config)
    state = build_state(config, prepared, torch.device("cpu"))
    state.enter(plan(prepared.train.lengths, config).phases[0], config.optim)
    save_checkpoint(tmp_path / "checkpoint", state, config, prepared, {})
    origin = read_origin(tmp_path / "checkpoint")
    assert origin is not None
    assert (origin["license"], base_of(config, prepared)["origin"]) == ("mit", origin)
    assert Predictor.load(tmp_path / "checkpoint").predict(["x <s>"])
