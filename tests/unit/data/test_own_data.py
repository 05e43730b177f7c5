"""Tasks of one's own: tables, splits, the task file that is written, and errors that name the row."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from starlette.staticfiles import StaticFiles

from tests.support.data_command import run_data
from tests.support.http_server import serving
from tests.support.own_tasks import init_task, write_csv
from tweetelm.data import load, provenance
from tweetelm.data.splits import divide
from tweetelm.files import object_storage
from tweetelm.tasks import SplitRule, Task, from_json, read_task, to_json

LABELS = ("none", "against", "favor")
TASK = """
name = "mood"
labels = ["sad", "happy"]
[data]
{data}
"""


def task_of(folder: Path, data: str) -> Task:
    (folder / "mood.toml").write_text(TASK.format(data=data), encoding="utf-8")
    return read_task(folder / "mood.toml")


def rows_of(task: Task, split: str = "train") -> list[tuple[str, str]]:
    names = task.labels
    return [(row["text"], names[row["label"]]) for row in load(task, "data")[split]]


def every_row(task: Task) -> Counter[tuple[str, str]]:
    return Counter(row for split in ("train", "validation", "test") for row in rows_of(task, split))


def three_parts(folder: Path, name: str, write: Callable[[Path], None], more: str = "") -> Task:
    """A task whose three splits are the same file under three names."""
    for part in ("train", "validation", "test"):
        write(folder / f"{part}{name}")
    parts = "\n".join(f'{part} = "{part}{name}"' for part in ("train", "validation", "test"))
    return task_of(folder, f"{parts}\n{more}")


CSV = '\ufefftext,label,note\r\n"commas, ""quotes"" and\nlines",happy,1\r\n'
CSV += "  spaces ,sad,2\r\n\r\nplain,happy,3\r\n"
ROWS = [('commas, "quotes" and\nlines', "happy"), ("  spaces ", "sad"), ("plain", "happy")]


def test_csv_with_mark_quotes_and_newlines_is_read(tmp_path: Path) -> None:
    task = three_parts(tmp_path, ".csv", lambda path: path.write_bytes(CSV.encode()) and None)
    assert rows_of(task) == ROWS


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters_are_found_by_the_header(tmp_path: Path, delimiter: str) -> None:
    text = f"note{delimiter}text{delimiter}label\n1{delimiter}a, b{delimiter}sad\n"
    task = three_parts(tmp_path, ".csv", lambda path: path.write_text(text) and None)
    assert rows_of(task) == [("a, b", "sad")]


def test_compressed_tsv_is_read(tmp_path: Path) -> None:
    data = gzip.compress(b"text\tlabel\none\tsad\n")
    task = three_parts(tmp_path, ".tsv.gz", lambda path: path.write_bytes(data) and None)
    assert rows_of(task) == [("one", "sad")]


def test_json_lines_and_parquet_are_read(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
    (tmp_path / "json").mkdir()
    task = three_parts(tmp_path / "json", ".jsonl", lambda path: path.write_text(lines) and None)
    assert rows_of(task) == ROWS
    table = pa.table({"x": [1, 2, 3], "text": [t for t, _ in ROWS], "label": [y for _, y in ROWS]})
    task = three_parts(tmp_path, ".parquet", lambda path: parquet.write_table(table, path))
    assert rows_of(task) == ROWS


def test_numbers_are_labels(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"text": f"tweet {i}", "label": i % 2}) + "\n" for i in range(40))
    )
    task = task_of(tmp_path, 'files = "rows.jsonl"')
    with pytest.raises(ValueError, match=r"line 1: label is '0'; expected one of sad, happy"):
        load(task, "data")
    stored = to_json(task) | {"labels": ["0", "1"]}
    assert sum(every_row(from_json(stored)).values()) == 40


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "text,label\na,sad\nb,glad\n",
            r"row 2 \(line 3\): label is 'glad'; expected one of sad, happy",
        ),
        ("a.csv", "text,label\na,sad,1\n", r"row 1 \(line 2\): has 3 fields; expected 2 as in the header"),
        ("a.csv", 'text,label\n"a,sad\n', r"row 1 \(line 2\): a quote is not closed"),
        (
            "a.csv",
            "tweet,label\na,sad\n",
            r"there is no column 'text'; expected one of its columns: tweet, label",
        ),
        ("a.csv", "text,text,label\na,b,sad\n", "the column text occurs twice"),
        ("a.csv", "", "is empty; expected rows"),
        ("a.jsonl", '{"text": "a", "label": "sad"}\n{"text": \n', "line 2: not JSON"),
        ("a.jsonl", '{"text": null, "label": "sad"}\n', "line 1: text is missing; expected a text"),
        ("a.jsonl", '{"text": 5, "label": "sad"}\n', r"line 1: text is 5 of type int; expected a text"),
        ("a.jsonl", '["a"]\n', "line 1: is list; expected one object a line"),
        ("a.parquet", "text", "is not a Parquet file"),
        ("a.csv.gz", "text", "cannot be read"),
        ("a.xlsx", "text", r"has an unknown format; expected a name that ends in \.csv, \.tsv"),
    ],
)
def test_damaged_table_error_names_file_and_row(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        load(task_of(tmp_path, f'files = "{name}"'), "data")


def test_latin1_error_names_line_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,sad\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.csv, line 2: bytes b'\\xe9' are not UTF-8"):
        load(task_of(tmp_path, 'files = "a.csv"'), "data")


def test_missing_files_and_overlapping_parts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/\*\.csv does not exist, or matches no file"):
        load(task_of(tmp_path, 'files = "nowhere/*.csv"'), "data")
    (tmp_path / "a.csv").write_text("text,label\na,sad\n")
    with pytest.raises(ValueError, match=r"a\.csv is in train and in test; expected it in one"):
        load(task_of(tmp_path, 'train = "a.csv"\ntest = "*.csv"'), "data")


def test_missing_validation_is_divided_off_train(tmp_path: Path) -> None:
    write_csv(tmp_path / "train.csv", ("sad", "happy"), 100)
    write_csv(tmp_path / "test.csv", ("sad", "happy"), 7)
    task = task_of(tmp_path, 'train = "train.csv"\ntest = "test.csv"\ntext = "tweet"\nlabel = "side"')
    sizes = {name: len(split) for name, split in load(task, "data").items()}
    assert sizes == {"train": 180, "validation": 20, "test": 14}


def test_group_and_slices_are_kept_as_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ("sad", "happy"), 200)
    data = 'files = "a.csv"\ntext = "tweet"\nlabel = "side"\ngroup = "author"\nslices = ["topic"]'
    dataset = load(task_of(tmp_path, data), "data")
    assert dataset["train"].column_names == ["text", "label", "author", "topic"]
    authors = [set(split["author"]) for split in dataset.values()]
    assert not (authors[0] & authors[1] | authors[0] & authors[2] | authors[1] & authors[2])


def test_root_replaces_the_folder_of_the_task_file(tmp_path: Path) -> None:
    write_csv(tmp_path / "moved" / "a.csv", ("sad", "happy"), 30)
    task = task_of(tmp_path, 'files = "a.csv"\ntext = "tweet"\nlabel = "side"')
    assert provenance(task, tmp_path / "moved").root == str(tmp_path / "moved")
    with pytest.raises(ValueError, match="the embedded sample has the tasks hate and deepfake only"):
        load(task, "sample")


def test_md5_depends_on_rows_and_rules_only(tmp_path: Path) -> None:
    rule = 'files = "a.csv"\ntext = "tweet"\nlabel = "side"\n'
    for folder in (tmp_path / "one", tmp_path / "two"):
        write_csv(folder / "a.csv", ("sad", "happy"), 30)
    first, second = (provenance(task_of(tmp_path / name, rule), "data") for name in ("one", "two"))
    assert first.md5 == second.md5
    other = provenance(task_of(tmp_path / "two", rule + "split = { seed = 1 }"), "data")
    assert other.md5 != first.md5


def test_files_in_object_storage_are_read(tmp_path: Path, remote: str) -> None:
    write_csv(tmp_path / "up" / "a.csv", ("sad", "happy"), 30)
    object_storage.send(tmp_path / "up", f"{remote}/mine")
    for pattern in ("mine/a.csv", "mine/*.csv"):
        task = task_of(tmp_path, f'files = "{remote}/{pattern}"\ntext = "tweet"\nlabel = "side"')
        assert sum(every_row(task).values()) == 60


def test_file_on_the_web_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "up" / "a.csv", ("sad", "happy"), 30)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with serving(StaticFiles(directory=tmp_path / "up")) as url:
        task = task_of(tmp_path, f'files = "{url}/a.csv"\ntext = "tweet"\nlabel = "side"')
        assert sum(every_row(task).values()) == 60
        task = task_of(tmp_path, f'files = "{url}/b.csv"\ntext = "tweet"\nlabel = "side"')
        with pytest.raises(OSError, match=r"/b\.csv cannot be downloaded .*check the address"):
            load(task, "data")


def test_tweeteval_folders_are_read_with_their_names(tmp_path: Path) -> None:
    for folder in ("bus", "park"):
        (tmp_path / "stance" / folder).mkdir(parents=True)
        for part in ("train", "val", "test"):
            (tmp_path / "stance" / folder / f"{part}_text.txt").write_text(f"{folder} {part} a\nb\n")
            (tmp_path / "stance" / folder / f"{part}_labels.txt").write_text("1\n0\n")
    (tmp_path / "stance" / "mapping.txt").write_text("0\tsad\n1\t😀\thappy")
    task = task_of(tmp_path, 'folders = "stance/*"\nslices = ["folder"]')
    split = load(task, "data")["validation"]
    assert split["text"] == ["bus val a", "b", "park val a", "b"]
    assert (split["label"], split["folder"]) == ([1, 0, 1, 0], ["bus", "bus", "park", "park"])


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    groups=st.integers(0, 15),
    seed=st.integers(0, 3),
)
def test_splits_keep_groups_and_duplicates_together(sizes: list[int], groups: int, seed: int) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    texts = [f"text {number // 2} of {label}" for number, label in enumerate(labels)]
    owners = [f"g{number % groups}" for number in range(len(labels))] if groups else None
    found = divide(texts, labels, owners, SplitRule(seed=seed), test=True)
    assert set(found) <= {0, 1, 2}
    for keys in (texts, owners or texts):
        together: dict[str, set[int]] = {}
        for key, split in zip(keys, found.tolist(), strict=True):
            together.setdefault(key, set()).add(split)
        assert all(len(splits) == 1 for splits in together.values())
    assert np.array_equal(found, divide(texts, labels, owners, SplitRule(seed=seed), test=True))


def test_splits_are_stratified_and_depend_on_the_seed() -> None:
    labels = [0] * 1000 + [1] * 100 + [2] * 40
    texts = [f"tweet number {number}" for number in range(len(labels))]
    found = divide(texts, labels, None, SplitRule(), test=True)
    counts = np.asarray(
        [[np.sum((found == s) & (np.asarray(labels) == y)) for y in range(3)] for s in range(3)]
    )
    assert counts.tolist() == [[700, 70, 28], [100, 10, 4], [200, 20, 8]]
    assert not np.array_equal(found, divide(texts, labels, None, SplitRule(seed=1), test=True))


def test_retweets_stay_in_the_split_of_their_tweet() -> None:
    texts = [f"RT @user{i}: The bus no. {i % 50} is LATE! http://x.co/{i}" for i in range(200)]
    found = divide(texts, [i % 2 for i in range(200)], None, SplitRule(), test=True)
    assert all(len(set(found[i::50].tolist())) == 1 for i in range(50))


def test_data_init_writes_one_file_and_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_csv(tmp_path / "data" / "stance.csv", LABELS, 40)
    monkeypatch.chdir(tmp_path)
    file = init_task(table)
    task = read_task(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "stance.toml"]
    assert (task.name, task.labels, task.data and task.data.files) == (
        "stance",
        ("against", "favor", "none"),
        ("data/stance.csv",),
    )
    printed = capsys.readouterr().out
    assert "train           84 rows: against 28 (33.3%), favor 28 (33.3%), none 28 (33.3%)" in printed
    assert "! against: 4 rows in validation; scores of fewer than 20 are mostly noise" in printed
    assert "tweetelm train --task stance.toml --model.name scratch-4m" in printed


def test_data_init_orders_two_labels_by_frequency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"tweet {i},{'rare' if i % 5 == 0 else 'usual'}\n" for i in range(100))
    (tmp_path / "hate.csv").write_text(f"tweet,side\n{rows}")
    monkeypatch.chdir(tmp_path)
    init_task(tmp_path / "hate.csv")
    task = read_task(tmp_path / "my-hate.toml") if not (tmp_path / "hate.toml").exists() else None
    assert task is not None
    assert task.labels == ("usual", "rare")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["init", "a.csv"],
            "name the columns of the tweet and of the label: --text COLUMN --label COLUMN; it has",
        ),
        (
            ["init", "a.csv", "--text", "tweet", "--label", "nope"],
            "there is no column 'nope'; expected one of its",
        ),
        (
            ["init", "a.csv", "--text", "tweet", "--label", "one"],
            "the column 'one' has 1 values ('x'); expected at",
        ),
        (
            ["init", "a.csv", "--text", "tweet", "--label", "id"],
            "the column 'id' has more than 1000 values, such as",
        ),
        (["init", "a.csv", "--text", "tweet", "--label", "tweet"], "expected a different one for each flag"),
        (["init", "b.csv", "--text", "tweet", "--label", "side"], "b.csv does not exist, or matches no file"),
        (
            ["init", "taken.csv", "--text", "tweet", "--label", "side"],
            "taken.toml exists; edit it, or replace it",
        ),
        (["check", "taken.toml"], "taken.toml is not a task: it lacks name, labels"),
    ],
)
def test_data_init_errors_say_what_to_type(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    rows = "".join(f"tweet {i},{i % 2},x,n{i}\n" for i in range(1200))
    for name in ("a.csv", "taken.csv"):
        (tmp_path / name).write_text(f"tweet,side,one,id\n{rows}")
    (tmp_path / "taken.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    try:
        status = run_data(words)
    except SystemExit as ended:  # a wrong value of a flag
        status = ended.code if isinstance(ended.code, int) else 1
    captured = capsys.readouterr()
    shown = " ".join((captured.out + captured.err).replace("│", " ").split())
    assert status != 0
    assert message in shown
    assert "Traceback" not in shown
