"""Loading weights from a folder: every tensor is checked; errors name the tensor."""

import json
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.checkpoints import edit_json
from tests.support.openelm_models import classifier, language_model
from tests.support.places import GOLDEN
from tweetelm.openelm import OpenELMForCausalLM, OpenELMForSequenceClassification, OpenELMModel
from tweetelm.openelm.checkpoints.hub import INDEX, WEIGHTS
from tweetelm.openelm.checkpoints.loading import load_weights, read_config

EMBEDDING, QKV = "transformer.token_embeddings.weight", "transformer.layers.1.attn.qkv_proj.weight"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    language_model().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, change: Callable[[Tensors], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def equal(model: torch.nn.Module, tensors: Tensors) -> bool:
    own = dict(model.named_parameters())
    return own.keys() == tensors.keys() and all(torch.equal(own[key], tensors[key]) for key in own)


@pytest.mark.parametrize("name", ["tiny_a", "tiny_b"])
def test_every_stored_tensor_is_in_the_model(name: str) -> None:
    stored = load_file(GOLDEN / name / WEIGHTS)
    stored.pop("transformer.classifier.weight", None)
    assert equal(load_weights(OpenELMForCausalLM, GOLDEN / name), stored)


def test_unused_untied_head_is_dropped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, logger="tweetelm"):
        load_weights(OpenELMForCausalLM, GOLDEN / "tiny_a")
        assert caplog.messages == []
        load_weights(OpenELMForCausalLM, GOLDEN / "tiny_b")
    assert len(caplog.messages) == 1
    assert "ignored transformer.classifier.weight" in caplog.messages[0]


def test_a_missing_tensor_is_named(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.pop(QKV))
    with pytest.raises(
        ValueError, match=rf"{folder} does not match OpenELMForCausalLM: {QKV} is missing\. Che"
    ):
        load_weights(OpenELMForCausalLM, folder)


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({"transformer.layers.9.extra": torch.ones(2)}))
    with pytest.raises(ValueError, match=r"transformer\.layers\.9\.extra is unknown"):
        load_weights(OpenELMForCausalLM, folder)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder: Path) -> None:
    edit_json(folder / "config.json", vocab_size=63)
    with pytest.raises(ValueError, match=rf"{EMBEDDING} has shape \[64, 32\], expected \[63, 32\]"):
        load_weights(OpenELMForCausalLM, folder)


def test_only_the_first_five_problems_are_listed(folder: Path) -> None:
    rewrite(folder, lambda tensors: [tensors.pop(key) for key in sorted(tensors)[:12]])
    with pytest.raises(ValueError, match=r"(\S+ is missing; ){4}\S+ is missing and 7 more\."):
        load_weights(OpenELMForCausalLM, folder)


def test_a_new_classifier_loads_without_warnings(folder: Path) -> None:
    code = (
        "from pathlib import Path; from tweetelm.openelm import OpenELMForSequenceClassification as Model; "
        "from tweetelm.openelm.checkpoints.loading import load_weights; "
        f"load_weights(Model, Path({str(folder)!r}), new=['score.weight'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "MISSING" not in done.stderr + done.stdout


def test_a_classifier_may_be_new_only_when_asked(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"score\.weight is missing"):
        load_weights(OpenELMForSequenceClassification, folder)
    names = {0: "a", 1: "b", 2: "c"}
    model = load_weights(OpenELMForSequenceClassification, folder, new=["score.weight"], id2label=names)
    assert model.score.weight.shape == (3, 32)
    assert model.score.weight.std().item() > 0
    assert equal(model, load_file(folder / WEIGHTS) | {"score.weight": model.score.weight})


def test_only_what_may_be_new_may_be_missing(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.pop(QKV))
    with pytest.raises(ValueError, match=f"{QKV} is missing"):
        load_weights(OpenELMForSequenceClassification, folder, new=["score.weight"])


def test_classifier_head_loads_only_into_classifiers(tmp_path: Path) -> None:
    saved = classifier()
    saved.save_pretrained(tmp_path)
    loaded = load_weights(OpenELMForSequenceClassification, tmp_path, new=["score.weight"])
    assert torch.equal(loaded.score.weight, saved.score.weight)
    with pytest.raises(ValueError, match=r"score\.weight is unknown"):
        load_weights(OpenELMForCausalLM, tmp_path)


def test_decoder_and_headed_model_load_each_other(tmp_path: Path) -> None:
    model = language_model()
    model.save_pretrained(tmp_path / "whole")
    model.transformer.save_pretrained(tmp_path / "bare")
    bare = dict(model.transformer.named_parameters())
    assert equal(load_weights(OpenELMModel, tmp_path / "whole"), bare)
    assert equal(load_weights(OpenELMModel, tmp_path / "bare"), bare)
    assert equal(load_weights(OpenELMForCausalLM, tmp_path / "bare"), dict(model.named_parameters()))


def test_a_tied_head_may_be_stored_if_it_is_the_embedding(folder: Path) -> None:
    rewrite(folder, lambda tensors: tensors.update({"lm_head.weight": tensors[EMBEDDING].clone()}))
    model = load_weights(OpenELMForCausalLM, folder)
    assert model.lm_head.weight is model.transformer.token_embeddings.weight
    rewrite(folder, lambda tensors: tensors["lm_head.weight"].add_(1e-3))
    for model_class in (OpenELMForCausalLM, OpenELMModel):
        with pytest.raises(ValueError, match=r"lm_head\.weight differs from the embedding"):
            load_weights(model_class, folder)


def test_untied_head_is_needed_by_language_models_only(tmp_path: Path) -> None:
    language_model(share_input_output_layers=False).save_pretrained(tmp_path)
    load_weights(OpenELMForSequenceClassification, tmp_path, new=["score.weight"])
    rewrite(tmp_path, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(ValueError, match=r"lm_head\.weight is missing"):
        load_weights(OpenELMForCausalLM, tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 200, -1])
def test_a_truncated_file_is_named_as_damaged(folder: Path, kept: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:kept])
    with pytest.raises(ValueError, match=rf"{folder / WEIGHTS} is damaged .*; delete it and download"):
        load_weights(OpenELMForCausalLM, folder)


def test_a_git_lfs_pointer_is_recognized(folder: Path) -> None:
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(ValueError, match="`git lfs pull`"):
        load_weights(OpenELMForCausalLM, folder)


def test_pickled_weights_are_refused_and_never_opened(folder: Path, tmp_path: Path) -> None:
    marker = tmp_path / "unpickled"

    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(FileNotFoundError, match=r"only pytorch_model.bin. Pickled weights are refused"):
        load_weights(OpenELMForCausalLM, folder)
    assert not marker.exists()


def test_a_folder_without_weights_is_named(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{folder} has no model.safetensors"):
        load_weights(OpenELMForCausalLM, folder)


def test_a_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config.json does not exist; expected a checkpoint folder"):
        load_weights(OpenELMForCausalLM, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"model_type": "llama"}', "has model_type 'llama'; expected 'openelm'"),
        ("{}", "has model_type None; expected 'openelm'"),
        (
            '{"model_type": "openelm", "model_dim": "wide"}',
            "config.json is not an OpenELM configuration: .*model_dim",
        ),
        (
            '{"model_type": "openelm", "num_query_heads": [4]}',
            "config.json is not an OpenELM configuration: .*heads",
        ),
    ],
)
def test_a_bad_configuration_is_named_with_its_path(folder: Path, content: str, message: str) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_config(folder)
    assert str(folder / "config.json") in str(refused.value)


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    language_model().save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    return tmp_path


def test_a_sharded_folder_loads_whole(sharded: Path) -> None:
    loaded = load_weights(OpenELMForCausalLM, sharded)
    assert equal(loaded, dict(language_model().named_parameters()))


def test_a_missing_shard_is_named(sharded: Path) -> None:
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{sharded} has no {shard.name}"):
        load_weights(OpenELMForCausalLM, sharded)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "is not JSON"), ('{"metadata": {}}', "has no weight_map or no metadata")]
)
def test_a_damaged_index_is_named(sharded: Path, content: str, message: str) -> None:
    (sharded / INDEX).write_text(content)
    with pytest.raises(ValueError, match=f"{INDEX} {message}"):
        load_weights(OpenELMForCausalLM, sharded)


def test_single_weight_file_precedes_an_index(sharded: Path, folder: Path) -> None:
    (sharded / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    rewrite(sharded, lambda tensors: tensors["transformer.norm.weight"].fill_(2.0))
    assert load_weights(OpenELMForCausalLM, sharded).transformer.norm.weight[0] == 2.0
    rewrite(sharded, lambda tensors: tensors.pop(QKV))
    with pytest.raises(ValueError, match=f"{QKV} is missing"):
        load_weights(OpenELMForCausalLM, sharded)


def test_weights_can_be_had_in_bfloat16(folder: Path) -> None:
    model = load_weights(OpenELMForCausalLM, folder, dtype=torch.bfloat16)
    assert {value.dtype for value in model.parameters()} == {torch.bfloat16}


def test_a_stale_auto_map_is_gone_after_loading_and_saving(tmp_path: Path) -> None:
    model = load_weights(OpenELMForCausalLM, GOLDEN / "tiny_a")
    model.save_pretrained(tmp_path)
    auto_map = json.loads((tmp_path / "config.json").read_text())["auto_map"]
    assert auto_map.keys() == {"AutoConfig", "AutoModelForCausalLM"}
    for reference in auto_map.values():
        assert (tmp_path / f"{reference.partition('.')[0]}.py").is_file()
