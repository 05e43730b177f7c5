"""Quotas after matching: what is said and measured is about rows that are present."""

from pathlib import Path

import pytest

from tests.support import mixes
from tweetelm.data.mix.build import Mix, mix
from tweetelm.data.mix.document import accuracy_lines
from tweetelm.data.mix.recipe_file import read_recipe

PARTS = mixes.part_of("gen") + mixes.part_of("col")
LABELS = 'labels = ["human", "bot"]'
DIVIDED = ("train", "validation", "test")


def made(folder: Path, more: str) -> Mix:
    """60 machine rows and 60 human rows of other people, without a base."""
    mixes.write_part(folder / "gen", mixes.generated_rows(60))
    rows = [row | {"screen_name": f"eva{n % 20}"} for n, row in enumerate(mixes.human_rows(60, seed=5))]
    mixes.write_part(folder / "col", rows)
    return mix(read_recipe(mixes.recipe(folder, PARTS, more, top=LABELS)), "data")


def present(made: Mix, label: str) -> int:
    return sum(row.label == label for rows in made.splits.values() for row in rows)


@pytest.mark.parametrize("match", ["true", "false"])
def test_removed_counterparts_are_not_measured(tmp_path: Path, match: str) -> None:
    found = made(tmp_path, f"[cues]\nmatch = {match}\n[quotas]\nlabel = {{ human = 15 }}")
    cues = found.cues["train"]
    assert present(found, "human") == 15
    assert cues.rows[1] == present(found, "bot")
    assert cues.counterparts <= 15
    assert cues.accuracy["after"] is None  # 15 human rows are too few


def test_unmatched_rows_have_no_counterparts(tmp_path: Path) -> None:
    found = made(tmp_path, "[cues]\nmatch = false\n[quotas]\nlabel = { bot = 20 }")
    lines = accuracy_lines(found.cues["train"])
    assert lines[0] == "20 of 60 machine rows are kept. They were not matched to human rows."
    assert "counterpart" not in " ".join(lines)


def test_matched_rows_and_counterparts_are_counted(tmp_path: Path) -> None:
    found = made(tmp_path, "[quotas]\nlabel = { human = 15 }")
    cues = found.cues["train"]
    assert accuracy_lines(cues)[0] == (
        f"{cues.rows[1]} of 60 machine rows are kept. {cues.counterparts} of them have a human counterpart "
        "with the same cues."
    )


def test_quota_without_a_base_is_of_all_splits(tmp_path: Path) -> None:
    found = made(tmp_path, "[cues]\nmatch = false\n[quotas]\nlabel = 40")
    assert {*found.splits} == {*DIVIDED}
    assert (present(found, "human"), present(found, "bot")) == (40, 40)
