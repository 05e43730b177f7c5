"""Recipes and parts: formats, constants, and errors that say what to type."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pandas
import pytest

from tests.support import mixes
from tests.support.data_command import run_data
from tweetelm.data.mix.build import mix
from tweetelm.data.mix.parts import read_part
from tweetelm.data.mix.recipe import Part
from tweetelm.data.mix.recipe_file import read_recipe
from tweetelm.data.part import write_part
from tweetelm.data.provenance import provenance
from tweetelm.tasks import DEEPFAKE

LABELS = ("human", "bot")
GEN = mixes.part_of("gen")


@pytest.mark.parametrize(
    ("parts", "more", "top", "message"),
    [
        (GEN, "[quota]\nbalance = true", None, r"quota is unknown; did you mean quotas\?"),
        (GEN, "[quotas]\nlabels = 3", None, r"quotas\.labels is unknown; did you mean label\?"),
        (
            GEN,
            "[quotas]\nlabel = { robot = 3 }",
            None,
            "quotas.label names 'robot'; expected labels of human",
        ),
        (GEN, "[quotas]\naccount = -1", None, r"quotas\.account\.\* is -1; expected a number of rows"),
        (
            mixes.part_of("gen", more='used = "train"'),
            "",
            None,
            r"part 1: used is unknown; did you mean use\?",
        ),
        (
            mixes.part_of("gen", more='use = "test"'),
            "",
            None,
            'use is \'test\'; expected "train" or "generated-test"',
        ),
        (
            mixes.part_of("gen", more="generated_test = 1.5"),
            "",
            None,
            "expected a share between 0 and 1, such as 0.2",
        ),
        (
            mixes.part_of("gen", more='label = "robot"'),
            "",
            None,
            "label is 'robot'; expected one of human, bot",
        ),
        (
            mixes.part_of("gen", more='columns = { txt = "a" }'),
            "",
            None,
            r"columns\.txt is unknown; did you mean text",
        ),
        (GEN + GEN, "", None, "two parts are named gen; expected different names"),
        (
            GEN + mixes.part_of("deepfake", "gen"),
            "",
            None,
            r"part 2: name is deepfake, the base's name; choose another",
        ),
        (GEN, "", 'seed = -1\nbase = "deepfake"', "seed is -1; expected a whole number from 0 to 2147483647"),
        (GEN, "", f'seed = {2**31}\nbase = "deepfake"', "seed is 2147483648; expected a whole number"),
        ("parts = []", "", None, r"there is no part; expected at least one \[\[parts\]\]"),
        (GEN, "", "seed = 1", 'expected either base = "deepfake"'),
        (GEN, "", 'base = "deepfakes"', "there is no task or file"),
        (GEN, "[split]\ntest = 0.1", None, "split has no effect with a base"),
        (GEN, "[split]\ntest = 1.1", 'labels = ["human", "bot"]', "expected shares that leave rows"),
        (GEN, '[cues]\nhuman = "person"', None, "cues.human is 'person'; expected the label of human rows"),
        (GEN, "[cues]\nmatch = true", 'labels = ["a", "b"]', "cues.match needs the label of human rows"),
        (GEN, "[cues", None, "is not TOML"),
    ],
)
def test_recipe_errors_name_the_key(
    tmp_path: Path, parts: str, more: str, top: str | None, message: str
) -> None:
    path = mixes.recipe(tmp_path, parts, more, top=top or 'base = "deepfake"')
    if parts == "parts = []":  # TOML wants it before tables
        path.write_text('name = "mixed"\nbase = "deepfake"\nparts = []\n')
    with pytest.raises(ValueError, match=rf"recipe\.toml.*{message}"):
        read_recipe(path)


def test_missing_recipe_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_data(["mix", str(tmp_path / "no.toml")]) == 1
    assert capsys.readouterr().err.startswith("error: there is no recipe")


def change_rows(folder: Path) -> None:
    with (folder / "rows.csv").open("a") as file:
        file.write("ann;more;human;human\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            change_rows,
            "rows.csv was changed after it was written",
        ),
        (
            lambda folder: (folder / "rows.csv").unlink(),
            "is not a complete part: rows.csv or manifest.json is missing",
        ),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (
            lambda folder: mixes.write_part(folder, [mixes.row("ann", "a", "robot", "x")]),
            r"row 1 \(line 2\): account.type is 'robot'; expected one of human, bot",
        ),
        (
            lambda folder: write_part(folder, "generated", [], (), {}),
            "rows.csv has a header but no rows; write it again",
        ),
    ],
)
def test_part_errors_name_the_part(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(mixes.write_part(tmp_path / "gen", mixes.generated_rows(4)))
    with pytest.raises((ValueError, FileNotFoundError), match=rf"(?s)gen.*{message}"):
        read_part(Part(name="gen", path="gen"), str(tmp_path), LABELS)


def test_missing_column_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,account.type,class_type\na,bot,x\n")
    message = (
        r"part gen: .*t\.csv has no column 'screen_name' \(it has text, account.type, class_type\); name it"
    )
    with pytest.raises(
        ValueError, match=message + r'.*`columns = { account = "COLUMN" }`.*`account = "NAME"`'
    ):
        read_part(Part(name="gen", path="t.csv"), str(tmp_path), LABELS)


def test_missing_part_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"part gen: .*nowhere does not exist.*rows\.csv, or tables"):
        read_part(Part(name="gen", path="nowhere"), str(tmp_path), LABELS)


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_tables_with_constants_are_parts(tmp_path: Path, name: str) -> None:
    texts = ['a "quoted"; one', "two\nlines", "日本語 😂"]
    table = pandas.DataFrame({"n": [1, 2, 3], "body": texts, "imitated": [None, "ann", "bob"]})
    if name.endswith("parquet"):
        table.to_parquet(tmp_path / name)
    elif name.endswith("jsonl"):
        table.to_json(tmp_path / name, orient="records", lines=True)
    else:
        table.to_csv(tmp_path / name, index=False)
    more = 'label = "bot"\naccount = "me"\ngenerator = "gpt"\ncolumns = { text = "body" }'
    read = read_recipe(mixes.recipe(tmp_path, mixes.part_of("mine", name, more)))
    found = read_part(read.parts[0], read.place, LABELS)
    assert [(row.text, row.label, row.account, row.generator) for row in found.rows] == [
        (text, "bot", "me", "gpt") for text in texts
    ]
    assert [row.imitated for row in found.rows] == ["", "ann", "bob"]
    assert found.license == "not stated"


def test_unpaired_surrogates_are_replaced(tmp_path: Path) -> None:
    values = {"text": "a b\ud83d", "account.type": "bot", "screen_name": "an\ud83d", "class_type": "g\udc00"}
    further = {"prompt_id": "p\ud83d", "imitated": "bob\ud83d"}
    (tmp_path / "t.jsonl").write_text(json.dumps(values | further) + "\n")
    row = read_part(Part(name="mine", path="t.jsonl"), str(tmp_path), LABELS).rows[0]
    assert row.fields == ("an\ufffd", "a b\ufffd", "bot", "g\ufffd", "mine", "p\ufffd", "bob\ufffd", "")


def test_part_without_rows_left_says_why(tmp_path: Path) -> None:
    root = mixes.write_base(tmp_path / "data", train=50, test=20)
    copies = mixes.read_file(root / "deepfake" / "test.csv")[:5]
    mixes.write_part(tmp_path / "gen", [row | {"screen_name": "new"} for row in copies])
    with pytest.raises(
        ValueError,
        match="part gen has no rows left of 5: 5 near-copy of a test row of the base; remove the part",
    ):
        mix(read_recipe(mixes.recipe(tmp_path, GEN)), root)
    mixes.write_part(tmp_path / "gen", mixes.generated_rows(6))
    with pytest.raises(ValueError, match=r"no rows left of 6: 6 quota of its label; raise the number"):
        mix(read_recipe(mixes.recipe(tmp_path, GEN, "[quotas]\nlabel = { bot = 0 }")), root)


@pytest.mark.parametrize(
    ("settings", "sources", "named"),
    [
        ({"task": "hate", "data": "5f.dir"}, "3", "task 'hate' with data md5 5f.dir"),
        ({"task": "deepfake", "data": "5f.dir"}, "3", "task 'deepfake' with data md5 5f.dir"),
        ({"task": "hate"}, "3", "task 'hate' with data md5 unknown"),
        ({"task": "hate", "data": "5f.dir"}, "", None),
        ({}, "3", None),
    ],
)
def test_sources_must_be_of_the_base(
    tmp_path: Path, settings: dict[str, str], sources: str, named: str | None
) -> None:
    root = mixes.write_base(tmp_path / "data", train=50, test=20)
    rows = [row | {"sources": sources} for row in mixes.generated_rows(6)]
    write_part(str(tmp_path / "gen"), "generated", rows, ("prompt_id", "imitated", "sources"), settings)
    recipe = read_recipe(mixes.recipe(tmp_path, GEN))
    if named is None:
        assert sum(row.part == "gen" for row in mix(recipe, root).splits["train"]) == 6
        return
    md5 = provenance(DEEPFAKE, root).md5
    with pytest.raises(ValueError, match=rf"part gen: .*{named}; the base is 'deepfake' with data md5 {md5}"):
        mix(recipe, root)


@pytest.mark.parametrize("top", ['base = "deepfake"', 'labels = ["human", "bot"]'])
def test_quota_of_zero_names_the_quota(tmp_path: Path, top: str) -> None:
    root = mixes.write_base(tmp_path / "data", train=50, test=20)
    mixes.write_part(tmp_path / "gen", mixes.generated_rows(6))
    path = mixes.recipe(tmp_path, GEN, "[quotas]\nlabel = 0", top=top)
    with pytest.raises(ValueError, match=r"no rows left of 6: 6 quota of its label; raise the number"):
        mix(read_recipe(path), root)


def test_without_a_base_groups_stay_in_one_split(tmp_path: Path) -> None:
    mixes.write_part(tmp_path / "gen", mixes.generated_rows(200))
    people = [row | {"screen_name": f"eva{n % 20}"} for n, row in enumerate(mixes.human_rows(200, 5))]
    mixes.write_part(tmp_path / "col", people)
    top = 'labels = ["human", "bot"]'
    path = mixes.recipe(tmp_path, GEN + mixes.part_of("col"), "[cues]\nmatch = false", top=top)
    made = mix(read_recipe(path), "data")
    assert {name: len(rows) for name, rows in made.splits.items()}.keys() == {"train", "validation", "test"}
    for field in ("imitated", "prompt_id", "account"):
        own = [
            {getattr(row, field) for row in rows if getattr(row, field) not in ("", row.generator)}
            for rows in made.splits.values()
        ]
        assert not (own[0] & own[1] | own[0] & own[2] | own[1] & own[2]), field


def test_any_task_may_be_the_base(tmp_path: Path) -> None:
    (tmp_path / "mood.csv").write_text(
        "tweet,side\n" + "".join(f"{mixes.tweet(Random(n))},{'ab'[n % 2]}\n" for n in range(60))
    )
    (tmp_path / "mood.toml").write_text(
        'name = "mood"\nlabels = ["a", "b"]\n[data]\nfiles = "mood.csv"\ntext = "tweet"\nlabel = "side"\n'
    )
    lines = [json.dumps({"text": row["text"], "account.type": "b"}) for row in mixes.human_rows(5, 3)]
    (tmp_path / "more.jsonl").write_text("\n".join(lines) + "\n")
    more = mixes.part_of("more", "more.jsonl", 'account = "me"\ngenerator = "people"')
    made = mix(read_recipe(mixes.recipe(tmp_path, more, top='base = "mood.toml"')), "data")
    assert sum(row.part == "more" for row in made.splits["train"]) == 5
    assert not made.cues
