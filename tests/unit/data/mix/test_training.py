"""A mixed dataset trains as any task does, and its recipe is on the model's card."""

import json
from pathlib import Path

from tests.support import mixes
from tests.support.data_command import run_data
from tweetelm import fine_tune
from tweetelm.data import hold_out, load
from tweetelm.data.mix.lineage import MixLineage
from tweetelm.registry import Card
from tweetelm.registry.model_card import render
from tweetelm.tasks import read_task


def mixed(folder: Path) -> Path:
    """The task file of a small mixed dataset."""
    root = mixes.write_base(folder / "data", train=60, test=40)
    mixes.write_part(folder / "gen", mixes.generated_rows(30))
    path = mixes.recipe(folder, mixes.part_of("gen", more="generated_test = 0.3"))
    out = folder / "out"
    assert run_data(["mix", str(path), "--root", str(root), "--out", str(out)]) == 0
    return out / "mixed.toml"


def test_one_epoch_trains_on_a_mixed_dataset(tmp_path: Path) -> None:
    file = mixed(tmp_path)
    result = fine_tune(
        file, folder=tmp_path / "run", device="cpu", progress=False, epochs=1, pretrain_epochs=0
    )
    values = json.loads((file.parent / "mix.json").read_text())
    assert result.card.data["rows"]["train"] == values["splits"]["train"]["rows"]
    assert result.card.data["mix"]["parts"] == {"gen": values["parts"][0]["sha256"]}
    readme = render(result.card)
    assert f"dataset version `{values['version']}`" in readme
    assert values["parts"][0]["sha256"] in readme
    assert Card.from_json(result.card.to_json()).data == result.card.data


def test_generator_of_a_part_can_be_held_out(tmp_path: Path) -> None:
    splits = hold_out(load(read_task(mixed(tmp_path)), "data"), "generator:rnn")
    assert "rnn" not in {*splits["train"]["class_type"], *splits["validation"]["class_type"]}
    assert "newbot" in splits["train"]["class_type"]
    assert set(splits["held-out"]["class_type"]) == {"rnn"}


def test_lineage_is_a_sentence() -> None:
    made = MixLineage(version="v1", recipe="r1", base={"deepfake": "m1"}, parts={"gen": "s1", "col": "s2"})
    assert str(made) == (
        "dataset version `v1`, recipe sha256 `r1`, of the base deepfake (md5 `m1`), gen (sha256 `s1`), "
        "col (sha256 `s2`)"
    )
