"""Resolution of model names: preset, folder or hub id."""

from pathlib import Path

import pytest

from tweetelm.openelm.checkpoints.hub import fetch, fetch_tokenizer
from tweetelm.openelm.presets import PRESETS, find_preset, preset_config


def test_a_folder_is_a_checkpoint_without_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    found = fetch("model")
    assert (found.folder, found.repo, found.commit) == (tmp_path / "model", None, None)
    with pytest.raises(ValueError, match=r"has no revision 'v1'; omit --model.revision"):
        fetch("model", "v1")


def test_a_folder_named_like_a_preset_does_not_stand_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("openelm-270m", "scratch-1m"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    preset = find_preset("openelm-270m")
    assert preset is not None
    assert preset.repo == "apple/OpenELM-270M"
    assert find_preset("./openelm-270m") is None
    assert fetch("./openelm-270m").folder == tmp_path / "openelm-270m"
    with pytest.raises(ValueError, match="scratch-1m has no published weights"):
        fetch("scratch-1m")


@pytest.mark.parametrize("name", ["./none", "/none", "none/of/these", "~/none"])
def test_a_path_to_nothing_is_not_taken_for_a_hub_id(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"the folder {name} does not exist"):
        fetch(name)
    with pytest.raises(FileNotFoundError, match=f"the folder {name} does not exist"):
        fetch_tokenizer(name)


def test_a_misspelled_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"there is no model 'OpenELM-270'. Did you mean openelm-270m\?"):
        fetch("OpenELM-270")


def test_a_scratch_preset_has_nothing_to_fetch() -> None:
    with pytest.raises(ValueError, match="scratch-1m has no published weights"):
        fetch("scratch-1m")


def test_a_presets_repository_names_the_preset_too() -> None:
    assert find_preset("apple/OpenELM-450M") is find_preset("openelm-450m")
    assert find_preset("somebody/else") is None
    assert preset_config("apple/OpenELM-450M").num_transformer_layers == 20
    with pytest.raises(ValueError, match="'somebody/else' is not a preset"):
        preset_config("somebody/else")


def test_published_sizes_have_an_instruct_preset() -> None:
    for name in ("openelm-270m", "openelm-450m", "openelm-1.1b", "openelm-3b"):
        plain, instruct = PRESETS[name], PRESETS[f"{name}-instruct"]
        assert instruct.repo == f"{plain.repo}-Instruct"
        assert instruct.config == plain.config


@pytest.mark.parametrize(
    ("name", "heads", "widths"),
    [
        ("openelm-270m", [12] * 5 + [16] * 7 + [20] * 4, (768, 5120)),
        ("openelm-450m", [12] * 3 + [16] * 7 + [20] * 6 + [24] * 4, (768, 6144)),
        ("openelm-1.1b", [16] * 3 + [20] * 7 + [24] * 8 + [28] * 6 + [32] * 4, (1024, 8192)),
        ("openelm-3b", [12] * 4 + [16] * 14 + [20] * 12 + [24] * 6, (1536, 12288)),
    ],
)
def test_heads_and_widths_grow_by_layer_as_published(
    name: str, heads: list[int], widths: tuple[int, int]
) -> None:
    config = preset_config(name)
    assert config.num_query_heads == heads
    assert config.num_kv_heads == [head // 4 for head in heads]
    assert (config.ffn_dims[0], config.ffn_dims[-1]) == widths


def test_a_changed_configuration_leaves_the_preset_as_it_was() -> None:
    config = preset_config("openelm-270m")
    config.vocab_size = 7
    config.qkv_multipliers[0] = 9.0  # type: ignore[index]
    assert preset_config("openelm-270m").vocab_size == 32000
    assert preset_config("openelm-270m").num_query_heads[0] == 12  # type: ignore[index]
