"""Refused checkpoints: files outside the folder, values that are not finite."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.openelm_models import classifier, language_model
from tests.unit.openelm.test_loading import QKV, rewrite
from tweetelm.openelm import OpenELMForCausalLM, OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.hub import INDEX, WEIGHTS
from tweetelm.openelm.checkpoints.loading import load_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    language_model().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(folder: Path, value: float) -> None:
    rewrite(folder, lambda tensors: tensors[QKV].view(-1).__setitem__(7, value))
    with pytest.raises(ValueError, match=rf"not finite \(NaN or infinity\) in {QKV}"):
        load_weights(OpenELMForCausalLM, folder)


def one_shard(folder: Path, name: str) -> Path:
    """Write an index that maps every tensor to the file `name`."""
    keys = load_file(folder / WEIGHTS).keys()
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(keys, name)}
    (folder / WEIGHTS).rename(folder.parent / "w.safetensors")
    (folder / INDEX).write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize(
    "name",
    ["../w.safetensors", "{parent}/w.safetensors", "a/../../w.safetensors", "..", "", "x\n.safetensors"],
)
def test_an_index_that_names_files_elsewhere_is_refused(folder: Path, name: str) -> None:
    one_shard(folder, name.format(parent=folder.parent))
    with pytest.raises(ValueError, match=rf"{INDEX} names .*; expected names of safetensors files in"):
        load_weights(OpenELMForCausalLM, folder)


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b"[" * 99_999]
)
def test_an_index_of_another_kind_is_named(folder: Path, damage: bytes) -> None:
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_bytes(damage)
    with pytest.raises(ValueError, match=rf"{INDEX} (is not|has no|names)"):
        load_weights(OpenELMForCausalLM, folder)


@pytest.mark.parametrize("by_index", [True, False])
def test_weights_that_are_links_to_elsewhere_are_refused(folder: Path, by_index: bool) -> None:
    one_shard(folder, "model-00001-of-00001.safetensors")
    if not by_index:
        (folder / INDEX).unlink()
    link = folder / ("model-00001-of-00001.safetensors" if by_index else WEIGHTS)
    link.symlink_to(folder.parent / "w.safetensors")
    with pytest.raises(ValueError, match=rf"{link} is a link to .*/w.safetensors, outside the checkpoint"):
        load_weights(OpenELMForCausalLM, folder)


def test_the_links_of_the_hubs_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "repo" / "snapshots" / "abc", tmp_path / "repo" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in folder.iterdir():
        file.rename(blobs / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    load_weights(OpenELMForCausalLM, snapshot)


def test_a_replaced_tensor_is_new_and_the_others_are_kept(tmp_path: Path) -> None:
    classifier().save_pretrained(tmp_path)
    stored = load_file(tmp_path / WEIGHTS)
    head = "score.weight"
    load = OpenELMForSequenceClassification
    kept = load_weights(load, tmp_path, new=[head])
    new = load_weights(load, tmp_path, new=[head], replaced=[head])
    assert torch.equal(kept.score.weight, stored[head])
    assert not torch.equal(new.score.weight, stored[head])
    assert all(torch.equal(value, stored[key]) for key, value in new.state_dict().items() if key != head)
