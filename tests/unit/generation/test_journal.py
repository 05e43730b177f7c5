"""Answers survive the death of their writer."""

from pathlib import Path

import pytest

from tweetelm.generation.journal import JournalWriter, read_journal
from tweetelm.generation.request import Answer


def test_written_answers_are_read(tmp_path: Path) -> None:
    answers = [Answer(id=str(i), text=f"line\n{i} ✓", prompt_tokens=i) for i in range(4)]
    with JournalWriter(tmp_path) as first, JournalWriter(tmp_path) as second:
        for answer in answers:
            first.sent(answer.id)
        first.answered(answers[:2])
        second.answered(answers[2:3])
    assert read_journal(tmp_path) == ({answer.id: answer for answer in answers[:3]}, 4)


def test_a_cut_last_line_is_ignored(tmp_path: Path) -> None:
    with JournalWriter(tmp_path) as writer:
        writer.answered([Answer(id="a", text="whole"), Answer(id="b", text="cut")])
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:-5])
    assert set(read_journal(tmp_path)[0]) == {"a"}


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"id": "a"}', b'{"id": "a", "text": "x", "color": 1}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'{"sent": "a"}\n' + line + b"\n")
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2 is damaged .*; delete this line"):
        read_journal(tmp_path)


def test_an_absent_folder_has_no_answers(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "no") == ({}, 0)
