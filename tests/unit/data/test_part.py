"""A part is written once, read by any CSV reader, and refused if it was changed."""

import csv
from pathlib import Path

import pytest

from tweetelm.data.part import read_manifest, write_part

TEXTS = ["plain", 'a "quoted"; one', "two\nlines", "carriage\rreturn", "both\r\nends", "häß ✓"]


def write(folder: Path, texts: list[str]) -> dict[str, object]:
    rows = [
        {"screen_name": "m", "text": text, "account.type": "bot", "class_type": "m", "seed": number}
        for number, text in enumerate(texts)
    ]
    return write_part(str(folder), "generated", rows, ["seed"], {"seed": 0}, counts={"answers": 7})


def test_every_text_survives(tmp_path: Path) -> None:
    manifest = write(tmp_path, TEXTS)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";", strict=True))
    assert [row["text"] for row in rows] == TEXTS
    assert [row["seed"] for row in rows] == [str(number) for number in range(len(TEXTS))]
    assert (manifest["kind"], manifest["rows"], manifest["counts"]) == ("generated", 6, {"answers": 7})
    assert read_manifest(tmp_path) == manifest


def test_unchanged_part_is_not_written_again(tmp_path: Path) -> None:
    first = write(tmp_path, TEXTS)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write(tmp_path, TEXTS) == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert write(tmp_path, TEXTS[:2])["rows"] == 2


def test_changed_rows_are_refused(tmp_path: Path) -> None:
    write(tmp_path, TEXTS)
    file = tmp_path / "rows.csv"
    file.write_bytes(file.read_bytes().replace(b"plain", b"plane"))
    with pytest.raises(ValueError, match=r"rows\.csv was changed after it was written"):
        read_manifest(tmp_path)


def test_incomplete_part_is_refused(tmp_path: Path) -> None:
    write(tmp_path, TEXTS)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="not a complete part"):
        read_manifest(tmp_path)
