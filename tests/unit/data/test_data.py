"""Reading, hashing, row selection and checks of the datasets."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from tests.support.data_command import run_data
from tests.support.places import ROOT
from tweetelm.config.text_config import TextConfig
from tweetelm.data import load, provenance, training_rows
from tweetelm.data.audit.check import Finding, Report, check
from tweetelm.data.audit.known_issues import DOCUMENTED
from tweetelm.data.audit.text_damage import DAMAGE
from tweetelm.data.duplicates import words
from tweetelm.data.provenance import folder_md5
from tweetelm.data.published_files import FILES
from tweetelm.tasks import DEEPFAKE, HATE, SYNTHETIC_NOTICE, TASKS

REAL = ROOT / "data"
real = pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not in data/; `make data` fetches it")
HEADER = b"screen_name;text;account.type;class_type\n"
TEXT = TextConfig()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with both datasets in their published formats; each split has about two rows."""
    hate, deepfake = tmp_path / "hate", tmp_path / "deepfake"
    hate.mkdir()
    deepfake.mkdir()
    (hate / "mapping.txt").write_bytes(b"0\tnot-hate\n1\thate")
    for prefix in ("train", "val", "test"):
        (hate / f"{prefix}_text.txt").write_bytes(f"{prefix} one \n\n{prefix}\u2028three\u0085\n".encode())
        (hate / f"{prefix}_labels.txt").write_bytes(b"1\n0\n1\n")
    for split in ("train", "validation", "test"):
        rows = f'ann;"{split}; ""hi"" \\""\nthere";human;human\nbob;{split} two;bot;rnn\n'
        (deepfake / f"{split}.csv").write_bytes(HEADER + rows.encode())
    return tmp_path


def test_hate_rows_end_in_newlines_alone(root: Path) -> None:
    train = load(HATE, root)["train"]
    assert train["text"][:] == ["train one ", "", "train\u2028three\u0085"]
    assert train["label"][:] == [1, 0, 1]
    assert train.features["label"].names == ["not-hate", "hate"]


def test_deepfake_rows_may_hold_newlines_quotes_and_backslashes(root: Path) -> None:
    test = load(DEEPFAKE, root)["test"]
    assert test["text"][:] == ['test; "hi" \\"\nthere', "test two"]
    assert test["label"][:] == [0, 1]
    assert test["screen_name"][:] == ["ann", "bob"]
    assert test["class_type"][:] == ["human", "rnn"]


def test_kaggle_copy_loads_the_same(root: Path) -> None:
    before = load(DEEPFAKE, root)["test"].to_dict()
    (root / "deepfake/test.csv").write_bytes(
        b"user_id;status_id;screen_name;text;account.type;class_type\n"
        b'1;2;ann;"test; ""hi"" \\""\nthere";human;human\n3;4;bob;test two;bot;rnn\n'
    )
    assert load(DEEPFAKE, root)["test"].to_dict() == before


BAD_HATE: list[tuple[str, bytes | None, str]] = [
    ("test_labels.txt", b"1\n2\n1\n", r"test_labels.txt, row 2: the label is '2'; expected one of 0, 1"),
    ("test_labels.txt", b"1\n0\n1\r\n", r"test_labels.txt, row 3: the label is '1\\r'"),
    ("test_labels.txt", b"1\n\n1\n", r"test_labels.txt, row 2: the label is ''"),
    ("test_labels.txt", b"1\n0\n", r"test_text.txt has 3 rows and .*test_labels.txt has 2"),
    ("train_text.txt", b"fine\nb\xe9d\n3\n", r"train_text.txt, line 2: bytes b'\\xe9' are not UTF-8"),
    ("train_text.txt", b"1\n2\nx\0y\n", r"train_text.txt, line 3: contains a NUL"),
    ("train_text.txt", b"1\n2\n3", r"train_text.txt, row 3: no newline at the end"),
    ("train_text.txt", b"\xef\xbb\xbf1\n2\n3\n", r"train_text.txt, line 1: starts with a byte order mark"),
    ("val_text.txt", b"", r"val_text.txt is empty"),
    ("mapping.txt", b"0\thate\n1\tnot-hate\n", r"mapping.txt contains \['0\\thate'.*expected \['0\\tnot-"),
    ("val_text.txt", None, r"val_text.txt does not exist; run `make data` \(or `dvc pull`"),
]
ROW = b"ann;hello;human;human\n"
BAD_DEEPFAKE: list[tuple[str, bytes | None, str]] = [
    ("test.csv", b"screen_name;text;class_type\n" + ROW, r"test.csv, line 1: .*lacks column 'account.type'"),
    ("test.csv", HEADER.replace(b";", b",") + ROW, r"test.csv, line 1: .*lacks column .*separated by `;`"),
    ("test.csv", HEADER[:-1] + b";lang\n", r"test.csv, line 1: .*has the unknown column 'lang'; expected"),
    ("test.csv", HEADER[:-1] + b";text\n", r"test.csv, line 1: .*repeats column 'text'"),
    ("test.csv", HEADER + ROW + b"bob;x;robot;rnn\n", r"test.csv, row 2 \(line 3\): account.type is 'robot'"),
    (
        "test.csv",
        HEADER + b'a;"x\ny";bot;rnn\nb;z;bot\n',
        r"test.csv, row 2 \(line 4\): has 3 fields; expected 4 as in the header",
    ),
    (
        "test.csv",
        HEADER + ROW + b'bob;"never\nclosed;bot;rnn\n',
        r"test.csv, row 2 \(line 3\): a quote is not closed",
    ),
    ("test.csv", HEADER + ROW + b"bob;\xff;bot;rnn\n", r"test.csv, line 3: bytes b'\\xff' are not UTF-8"),
    ("test.csv", HEADER + ROW + b"bob;\0;bot;rnn\n", r"test.csv, line 3: contains a NUL"),
    ("test.csv", HEADER + ROW + b"\n", r"test.csv, row 2 \(line 3\): has 0 fields"),
    ("test.csv", HEADER, r"test.csv has a header but no rows"),
    ("train.csv", HEADER + ROW + b"bob;x;bot;gp", r"train.csv, line 3: no newline at the end; .*truncated"),
    ("train.csv", HEADER + ROW + b"bob;x;bo", r"train.csv, line 3: no newline at the end"),
    ("train.csv", HEADER + ROW + b'bob;"x', r"train.csv, line 3: no newline at the end"),
    ("train.csv", HEADER[:-1], r"train.csv, line 1: no newline at the end"),
    ("test.csv", None, r"test.csv does not exist; .*--data.root sample"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_HATE)
def test_a_bad_hate_file_is_refused_by_name_and_row(
    root: Path, name: str, content: bytes | None, message: str
) -> None:
    _replace(root / "hate" / name, content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(HATE, root)


@pytest.mark.parametrize(("name", "content", "message"), BAD_DEEPFAKE)
def test_a_bad_deepfake_file_is_refused_by_name_and_row(
    root: Path, name: str, content: bytes | None, message: str
) -> None:
    _replace(root / "deepfake" / name, content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load(DEEPFAKE, root)


def _replace(file: Path, content: bytes | None) -> None:
    file.unlink() if content is None else file.write_bytes(content)


def test_unclosed_quote_error_names_its_row(root: Path) -> None:
    swallowed = HEADER + b'bob;"open;bot;rnn\n' + ROW * 20_000
    (root / "deepfake/train.csv").write_bytes(swallowed)
    with pytest.raises(ValueError, match=r"train.csv, row 1 \(line 2\): "):
        load(DEEPFAKE, root)


def test_a_missing_folder_names_the_ways_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"hate does not exist; run `make data` .*--data.root sample"):
        load(HATE, tmp_path)


def test_provenance_hashes_the_files_that_are_there(root: Path) -> None:
    before = provenance(HATE, root)
    assert before.rows == {"train": 3, "validation": 3, "test": 3}
    assert not before.synthetic
    (root / "hate/test_labels.txt").write_bytes(b"1\n1\n1\n")
    assert provenance(HATE, root).md5 != before.md5


def test_a_folder_hash_is_the_md5_of_dvcs_listing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x").write_bytes(b"hello\n")
    (tmp_path / "b.txt").write_bytes(b"")
    # printf '[{"md5": "…", "relpath": "b.txt"}, {"md5": "…", "relpath": "b/x"}]' | md5sum
    assert folder_md5(tmp_path, ["b/x", "b.txt", "not-there"]) == "d4db7959fc3bee721263534c64705742.dir"


def tweets(train: list[tuple[str, int]], validation: list[str], test: list[str]) -> DatasetDict:
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(HATE.labels))})
    splits = {"train": train, "validation": [(t, 0) for t in validation], "test": [(t, 0) for t in test]}
    return DatasetDict(
        {
            name: Dataset.from_dict(
                {"text": [t for t, _ in rows], "label": [y for _, y in rows]}, features=features
            )
            for name, rows in splits.items()
        }
    )


TRAIN = [("a &amp; b", 1), (" ", 0), ("c", 1), ("a & b", 0), ("@ann", 0), ("d", 1), ("&#32;", 1)]


def test_only_train_drops_empty_and_overlapping_rows() -> None:
    dataset = tweets(TRAIN, ["", "a  &  b"], ["@bob", "@bob"])
    before = {name: dataset[name].to_dict() for name in ("validation", "test")}
    rows, left_out = training_rows(dataset, drop_overlap=True, text=TEXT)
    assert (rows["text"][:], rows["label"][:]) == (["c", "d"], [1, 1])
    assert left_out == {"empty": 2, "overlap": 3}
    assert {name: dataset[name].to_dict() for name in ("validation", "test")} == before


def test_overlap_removal_is_optional() -> None:
    dataset = tweets(TRAIN, ["a & b"], ["@bob"])
    rows, left_out = training_rows(dataset, drop_overlap=False, text=TEXT)
    assert rows["text"][:] == ["a &amp; b", "c", "a & b", "@ann", "d"]
    assert left_out == {"empty": 2, "overlap": 0}
    assert training_rows(dataset, drop_overlap=True, text=TextConfig(form="raw"))[1] == {
        "empty": 1,
        "overlap": 1,
    }


def test_empty_selection_error_lists_reasons() -> None:
    with pytest.raises(
        ValueError, match="no training row is left: 1 are empty and 1 also occur in validation or test"
    ):
        training_rows(tweets([("", 0), ("x", 1)], ["x"], ["y"]), drop_overlap=True, text=TEXT)


def rows_found(root: Path, what: str, where: str) -> int:
    return next(f.rows for f in check(HATE, root).findings if (f.what, f.where) == (what, where))


def test_check_counts_match_a_manual_count(root: Path) -> None:
    _write_hate(root, "train", ["x", "x", "Caf\u00e9 http://a.b", "y", "&amp;"], [0, 1, 0, 1, 0])
    _write_hate(root, "test", ["x", "y", "caf\u00c3\u00a9", "cafe\u0301 http", "CAF\u00c9!"], [0, 0, 1, 1, 0])
    assert rows_found(root, "identical: extra copies", "train") == 1
    assert rows_found(root, "identical: texts under several labels", "train") == 1
    assert rows_found(root, "identical: also in train", "test") == 2
    assert rows_found(root, "identical: also in train, with another label", "test") == 2
    assert rows_found(root, "same when normalized: also in train", "test") == 2
    assert rows_found(root, "same words: also in train", "test") == 4
    assert rows_found(root, "same words: also in train, with another label", "test") == 3
    assert rows_found(root, "HTML entities", "train") == 1
    assert rows_found(root, "mojibake", "test") == 1


def _write_hate(root: Path, prefix: str, texts: list[str], labels: list[int]) -> None:
    (root / f"hate/{prefix}_text.txt").write_text("".join(f"{text}\n" for text in texts), "utf-8")
    (root / f"hate/{prefix}_labels.txt").write_text("".join(f"{label}\n" for label in labels), "utf-8")


@pytest.mark.parametrize(
    ("kind", "damaged", "sound"),
    [
        ("HTML entities", "a &lt; b &#39;", "a < b & c; d"),
        ("mojibake", "caf\u00c3\u00a9", "café à la crème ½"),
        ("mojibake", "\u00f0\u0178\u02dc\u00a1", "😡"),
        ("mojibake", "\u00e2\u017e\u009d", "➝ “quoted”…"),
        ("<U+XXXX> escapes", "<U+1F92C>", "U+1F92C <U>"),
        ("newlines written as \\n or \\r", "a\\nb", "a\nb"),
    ],
)
def test_damage_is_told_from_sound_text(kind: str, damaged: str, sound: str) -> None:
    is_damaged: Callable[[str], bool] = DAMAGE[kind]
    assert is_damaged(damaged)
    assert not is_damaged(sound)


def test_words_set_case_punctuation_links_and_mentions_aside() -> None:
    assert words("@Ann: It's NOT here… https://t.co/x") == words("it s not, HERE!") == "it s not here"


@pytest.mark.parametrize(
    ("rows", "documented", "status"),
    [
        (231, 231, "documented"),
        (230, 231, "DIFFERS: 231 documented"),
        (0, 231, "DIFFERS: 231 documented"),
        (5, None, "not documented"),
        (0, None, ""),
    ],
)
def test_a_known_number_is_told_from_a_new_one(rows: int, documented: int | None, status: str) -> None:
    assert Finding(what="x", where="test", rows=rows, documented=documented).status == status


@cache
def report_on(task: str) -> Report:
    return check(TASKS[task], REAL)


@real
def test_the_real_data_is_the_pinned_revision() -> None:
    hate, deepfake = provenance(HATE, REAL), provenance(DEEPFAKE, REAL)
    assert hate.md5 == "6132ac5f375c042c01a5a92b66ce18cc.dir"
    assert hate.rows == {"train": 9000, "validation": 1000, "test": 2970}
    assert deepfake.md5 == "6ddc44228fcaae781177a9ae7e8cb326.dir"
    assert deepfake.rows == {"train": 20712, "validation": 2302, "test": 2558}
    assert not hate.synthetic
    assert not deepfake.synthetic


@real
def test_the_real_labels_are_balanced_as_published() -> None:
    hate, deepfake = report_on("hate").splits, report_on("deepfake").splits
    assert hate["train"].labels == {"not-hate": 5217, "hate": 3783}
    assert hate["test"].labels == {"not-hate": 1718, "hate": 1252}
    assert hate["train"].characters == (111, 256, 280, 304)
    assert deepfake["train"].words == (15, 43, 50, 65)
    assert deepfake["test"].groups == {"gpt2": 384, "human": 1278, "others": 484, "rnn": 412}


@real
def test_the_leakage_of_the_real_data_is_what_is_documented() -> None:
    assert DOCUMENTED["hate"]["identical: also in train", "test"] == 231
    assert DOCUMENTED["hate"]["identical: also in train, with another label", "test"] == 90
    assert DOCUMENTED["hate"]["same words: also in train", "test"] == 270
    assert DOCUMENTED["hate"]["same words: also in train, with another label", "test"] == 116
    for task in (HATE, DEEPFAKE):
        report = report_on(task.name)
        found = {(f.what, f.where): f.rows for f in report.findings if f.rows}
        assert found == DOCUMENTED[task.name]
        assert {f.status for f in report.findings} == {"", "documented"}


@real
def test_real_hate_training_drops_empty_and_overlap() -> None:
    dataset = load(HATE, REAL)
    raw, left_out = training_rows(dataset, drop_overlap=True, text=TextConfig(form="raw"))
    assert left_out == {"empty": 7, "overlap": 233}
    assert raw.num_rows == 8760
    assert dataset["test"].num_rows == 2970


def test_the_command_prints_the_report_and_writes_it_as_json(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.json"
    assert run_data(["check", "deepfake", "--root", str(root), "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "train            2 rows: human 1 (50.0%), bot 1 (50.0%)" in printed
    assert "human 1 (50.0%), rnn 1 (50.0%)" in printed
    report = json.loads(file.read_text("utf-8"))
    assert report["splits"]["train"]["groups"] == {"human": 1, "rnn": 1}
    assert report["provenance"]["md5"] == folder_md5(root / "deepfake", FILES["deepfake"])
    known = ("identical: also in train", "test")
    finding = next(f for f in report["findings"] if (f["what"], f["where"]) == known)
    assert finding == {
        "what": known[0], "where": known[1], "rows": 0, "documented": 1, "status": "DIFFERS: 1 documented",
    }  # fmt: skip


def test_json_to_standard_output_is_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_data(["check", "hate", "--root", "sample", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["synthetic"] is True


def test_the_report_on_the_sample_says_that_it_is_synthetic(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_data(["check", "hate", "--root", "sample"]) == 0
    assert SYNTHETIC_NOTICE in capsys.readouterr().out


def test_the_command_fails_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_data(["check", "hate", "--root", str(tmp_path)]) == 1
    assert "hate does not exist; run `make data`" in capsys.readouterr().err
