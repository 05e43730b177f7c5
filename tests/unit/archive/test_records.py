import io
from typing import Any

import pytest

from tweetelm.archive.byte_lines import MAX_LINE, ByteLines
from tweetelm.archive.records import is_blank, records


def read(content: str | bytes, kind: Any) -> list[Any]:
    """The value of each record, or its fault."""
    data = content.encode() if isinstance(content, str) else content
    found = list(records(ByteLines(io.BytesIO(data)), kind))
    assert sum(record.size for record in found) == len(data)
    assert b"".join(record.raw for record in found) == data or max(map(len, data.split(b"\n"))) >= MAX_LINE
    return [record.fault or record.value for record in found if not is_blank(record)]


def test_quoted_fields_keep_newlines_commas_and_quotes() -> None:
    rows = read('id,text\r\n1,"a ""b"",\r\n\nc"\r\n2,5" tall\r\n', "csv")
    assert rows == [["id", "text"], ["1", 'a "b",\r\n\nc'], ["2", '5" tall']]


def test_tsv_is_split_at_tabs() -> None:
    assert read('a,b\t"c\td"\n', "tsv") == [["a,b", "c\td"]]


def test_unclosed_quote_costs_only_its_own_line() -> None:
    rows = read('1,a\n2,"b\n3,c\n4,d\n', "csv")
    assert rows == [["1", "a"], "a quoted field is not closed", ["3", "c"], ["4", "d"]]


def test_text_after_a_closing_quote_is_a_fault() -> None:
    assert read('1,"a" b\n2,c\n', "csv") == ["',' expected after '\"'", ["2", "c"]]


def test_two_unclosed_quotes_do_not_swallow_rows() -> None:
    rows = read('1,"a\n2,"b\n3,c\n', "csv")
    assert rows[2] == ["3", "c"]
    assert all(isinstance(row, str) for row in rows[:2])


def test_invalid_utf8_fails_only_its_row() -> None:
    assert read(b"1,a\n2,\xff\n3,c\n", "csv") == [["1", "a"], "byte 2 of the row is not UTF-8", ["3", "c"]]
    assert read(b"a\n\xff\nc\n", "text") == ["a", "byte 0 of the row is not UTF-8", "c"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "text"])
def test_overlong_line_fails_alone(kind: str) -> None:
    line = b'{"a": 1}\n'
    rows = read(line + b"x" * (3 * MAX_LINE) + b"\n" + line, kind)
    assert len(rows) == 3
    assert rows[1] == f"the line has {3 * MAX_LINE + 1:,} bytes; expected at most {MAX_LINE:,}"


def test_field_above_the_limit_of_csv_fails_alone() -> None:
    rows = read(f"1,{'x' * 200_000}\n2,b\n", "csv")
    assert rows == ["a field exceeds 131,072 characters or is not closed", ["2", "b"]]


def test_json_faults_name_the_reason() -> None:
    lines = ['{"a": 1}', "", "{", "[1]", '{"a": "\\ud800"}', "[" * 100_000, '{"a": "\\ud83d\\ude00"}']
    rows = read("\n".join(lines), "jsonl")
    assert rows[0] == {"a": 1}
    assert rows[1].startswith("not JSON: Expecting property name")
    assert rows[2:4] == ["the line is not a JSON object", "half of a surrogate pair"]
    assert rows[4].startswith("not JSON")
    assert rows[5] == {"a": "😀"}


def test_blank_lines_are_rows_only_in_plain_text() -> None:
    assert read("a\n\n\nb", "text") == ["a", "", "", "b"]
    assert read("a,b\n\n\n1,2\n", "csv") == [["a", "b"], ["1", "2"]]
