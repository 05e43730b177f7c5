import dataclasses
import io
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive import compressed, plan, write_rows
from tweetelm.archive.bulk_csv import read_sound
from tweetelm.archive.byte_lines import ByteLines
from tweetelm.archive.byte_ranges import ByteRanges
from tweetelm.archive.fragments import cut
from tweetelm.archive.inputs import find_inputs
from tweetelm.archive.records import records
from tweetelm.archive.rows import read_rows

ROWS = [
    {"id": str(i), "text": f'tweet {i}, "quoted"\nand é' if i % 3 else f"tweet {i}", "more": "x" * (i % 5)}
    for i in range(43)
]
LINES = [{"text": f"tweet {i} é"} for i in range(43)]
NAMES = ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz", "a.csv.zst", "a.jsonl.bz2", "a.jsonl.gz"]


def cut_one(path: Path, *, rows: int = 10, text: str = "text") -> Any:
    return cut(find_inputs([str(path)])[0], text=text, rows=rows)


def rows_of(path: Path, rows: int, order: int = 1) -> list[dict[str, Any]]:
    """The rows of all fragments, which are read in their order or in reverse."""
    fragments = cut_one(path, rows=rows).fragments
    ranges = ByteRanges()
    tables = [read_rows(each, ranges) for each in fragments[::order]][::order]
    assert [text for table in tables for text in table.texts] == [
        row["text"] for table in tables for row in table.table.to_pylist()
    ]
    return [row for table in tables for row in table.table.to_pylist()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [1, 10, 100])
@pytest.mark.parametrize("order", [1, -1])
def test_fragments_hold_every_row_in_order(tmp_path: Path, name: str, rows: int, order: int) -> None:
    assert rows_of(write_rows(tmp_path / name, ROWS), rows, order) == ROWS


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst"])
def test_plain_text_has_one_tweet_per_line(tmp_path: Path, name: str) -> None:
    assert rows_of(write_rows(tmp_path / name, LINES), 10) == LINES


def test_fragments_are_counted_before_they_are_read(tmp_path: Path) -> None:
    found = cut_one(write_rows(tmp_path / "a.csv", ROWS))
    assert [each.rows for each in found.fragments] == [10, 10, 10, 10, 3]
    assert [each.first_row for each in found.fragments] == [0, 10, 20, 30, 40]
    assert found.columns == ("id", "text", "more")


def test_content_does_not_depend_on_the_compression(tmp_path: Path) -> None:
    plain, packed = (cut_one(write_rows(tmp_path / name, ROWS)) for name in ("a.csv", "a.csv.gz"))
    assert [each.content for each in plain.fragments] == [each.content for each in packed.fragments]


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(compressed(b"one\ntw", ".gz") + compressed(b"o\nthree\n", ".gz"))
    assert rows_of(tmp_path / "a.txt.gz", 2) == [{"text": "one"}, {"text": "two"}, {"text": "three"}]


def test_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.txt"):
        path = write_rows(tmp_path / name, LINES)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        assert rows_of(path, 10) == LINES


def test_unreadable_rows_are_refused_with_place_and_reason(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,n\nok,1\n"two\nlines",2\nbad,3,4\n,5\n"open,6\nlast,7\n')
    found = read_rows(cut_one(tmp_path / "a.csv").fragments[0], ByteRanges())
    assert found.texts == ["ok", "two\nlines", "last"]
    assert [(each.row, each.line, each.reason, each.raw) for each in found.refused] == [
        (3, 5, "the row has 3 fields; expected 2", "bad,3,4\n"),
        (4, 6, "the text is missing", ",5\n"),
        (5, 7, "a quoted field is not closed", '"open,6\n'),
    ]


def test_row_and_line_numbers_count_from_the_file_start(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text\n"a\nb"\nc\n\n"d"e\n')
    fragments = cut_one(tmp_path / "a.csv", rows=1).fragments
    (refused,) = read_rows(fragments[2], ByteRanges()).refused
    assert (refused.row, refused.line) == (3, 6)


def test_json_texts_of_other_types_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": 5}\n{"text": null}\n{"n": 1}\n')
    found = read_rows(cut_one(tmp_path / "a.jsonl").fragments[0], ByteRanges())
    assert found.table.to_pylist() == [{"text": "a", "n": None}]
    reasons = [each.reason for each in found.refused]
    assert reasons == ["the text is int; expected a string", "the text is missing", "the text is missing"]


def test_json_columns_lose_nothing(tmp_path: Path) -> None:
    lines = [
        '{"text": "a", "id": 1234567890123456789, "x": 1, "y": 0.5, "z": {"k": [1]}, "b": true, "none": null'
        "}",
        '{"text": "b", "id": 2, "x": 1.5, "y": 2.5, "big": 99999999999999999999}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    table = read_rows(cut_one(tmp_path / "a.jsonl").fragments[0], ByteRanges()).table
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "text": "string",
        "id": "int64",
        "x": "string",
        "y": "double",
        "z": "string",
        "b": "bool",
        "none": "null",
        "big": "string",
    }
    assert table.to_pylist()[0]["z"] == '{"k": [1]}'
    assert [row["x"] for row in table.to_pylist()] == ["1", "1.5"]


def test_missing_texts_of_parquet_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", [{"text": "a"}, {"text": None}, {"text": ""}, {"text": "d"}])
    found = read_rows(cut_one(path).fragments[0], ByteRanges())
    assert found.texts == ["a", "d"]
    assert [(each.row, each.raw) for each in found.refused] == [(2, '{"text": null}'), (3, '{"text": ""}')]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_file_that_changes_after_cutting_is_refused(tmp_path: Path, name: str) -> None:
    fragments = cut_one(write_rows(tmp_path / name, ROWS)).fragments
    write_rows(tmp_path / name, [{**row, "text": row["text"].upper()} for row in ROWS])
    with pytest.raises(ValueError, match="changed while it was read; run the command again"):
        read_rows(fragments[1], ByteRanges())


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_absent_text_column_lists_the_columns(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, ROWS)
    with pytest.raises(ValueError, match=r"no column 'tweet'; its columns are 'id', 'text', 'more'.*--text"):
        cut_one(path, text="tweet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no header; expected the names of the columns first"),
        (b"text,a,a\n", "has two columns 'a'"),
        ("text\n".encode("utf-16"), "is in UTF-16; save it as UTF-8"),
    ],
)
def test_unusable_header_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        cut_one(tmp_path / "a.csv")


def test_damaged_compression_names_the_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.csv.gz", ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"a\.csv\.gz is damaged \(Truncated"):
        cut_one(path)


def test_parquet_text_must_be_text(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", [{"text": 1}])
    with pytest.raises(ValueError, match="has type int64; expected string"):
        cut_one(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match="is no Parquet file"):
        cut_one(path)


def test_names_depend_on_content_and_not_on_the_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first = write_rows(tmp_path / "a.csv", ROWS)
    second = write_rows(tmp_path / "b" / "a.csv", ROWS)
    assert [each.name for each in plan(first)] == [each.name for each in plan(second)]
    names = [each.name for each in plan(first, second)]
    assert len(set(names)) == len(names) == 10
    changed = write_rows(first, [*ROWS[:-1], {**ROWS[-1], "text": "other"}])
    assert [each.name for each in plan(changed)][:4] == names[:4]
    assert plan(changed)[4].name not in names


def test_fragments_travel_as_plain_data(tmp_path: Path) -> None:
    (fragment,) = cut_one(write_rows(tmp_path / "a.txt", LINES), rows=100).fragments
    assert dataclasses.replace(fragment) == fragment


def test_rows_read_at_once_equal_rows_read_one_by_one(tmp_path: Path) -> None:
    fragments = cut_one(write_rows(tmp_path / "a.csv", ROWS)).fragments
    ranges = ByteRanges()
    for each in fragments:
        data = ranges.read(each.file, each.start, each.end)
        found = [record.value for record in records(ByteLines(io.BytesIO(data)), "csv")]
        assert read_sound(each, data) == found
        assert read_sound(each, data.upper()) is None


@pytest.mark.parametrize("damage", [b"x\n", b'a,"b,c\n', b"a,,c\n", b"a,\xff,c\n", b"a,b\rb,c\n"])
def test_a_damaged_row_is_read_alone(tmp_path: Path, damage: bytes) -> None:
    path = write_rows(tmp_path / "a.csv", ROWS[:4])
    path.write_bytes(path.read_bytes() + damage + b"1,sound,2\n")
    found = read_rows(cut_one(path).fragments[0], ByteRanges())
    assert found.texts == [*(row["text"] for row in ROWS[:4]), "sound"]
    assert [each.row for each in found.refused] == [5]


def test_a_very_long_line_is_not_held(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"text\nfirst\n")
        for _ in range(70):
            file.write(b"x" * 2**20)
        file.write(b"\nlast\n")
    (fragment, last) = cut_one(tmp_path / "a.csv").fragments
    ranges = ByteRanges()
    tracemalloc.start()
    found = read_rows(fragment, ranges)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.texts + read_rows(last, ranges).texts == ["first", "last"]
    assert [(each.row, each.reason.partition(";")[0]) for each in found.refused] == [
        (2, "the line has 73,400,321 bytes")
    ]
    assert peak < 20 * 2**20
