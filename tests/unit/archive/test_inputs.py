from pathlib import Path

import pytest

from tests.support.s3 import BUCKET
from tweetelm.archive.file_format import file_format
from tweetelm.archive.inputs import find_inputs
from tweetelm.files import object_storage


def names(*places: str) -> list[str]:
    return [file.place.rpartition("/")[2] for file in find_inputs(places)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.jsonl.gz", "notes.md", "_side.csv", ".hidden.csv", "sub/c.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def test_folder_gives_known_files_sorted_without_hidden_ones(folder: Path) -> None:
    assert names(str(folder)) == ["a.jsonl.gz", "b.csv", "c.parquet"]


def test_globs_and_files_keep_the_typed_order_and_come_once(folder: Path) -> None:
    assert names(f"{folder}/b.csv", f"{folder}/*", f"{folder}/**/*.parquet") == [
        "b.csv",
        "_side.csv",
        "a.jsonl.gz",
        "c.parquet",
    ]


def test_name_with_brackets_is_a_file_before_it_is_a_glob(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").write_text("x")
    assert names(f"{tmp_path}/a[1].csv") == ["a[1].csv"]


@pytest.mark.parametrize("place", ["none.csv", "none*.csv", "empty"])
def test_place_without_files_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"does not exist|has no file"):
        find_inputs([f"{tmp_path}/{place}"])


def test_unknown_format_names_the_expected_ones(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"notes\.md is unknown; expected a name that ends in \.csv, \.tsv"):
        find_inputs([f"{folder}/notes.md"])


def test_compressed_parquet_is_unknown() -> None:
    with pytest.raises(ValueError, match="is unknown"):
        file_format("a.parquet.gz")


def test_urls_folders_and_globs_of_object_storage(remote: str) -> None:
    for name in ("a.csv", "b.csv.gz", "sub/c.csv"):
        object_storage.write(f"{remote}/{name}", b"text\nx\n")
    assert BUCKET in remote
    assert names(remote) == ["a.csv", "b.csv.gz", "c.csv"]
    assert names(f"{remote}/*.csv") == ["a.csv"]
    assert names(f"{remote}/**/*.csv") == ["a.csv", "c.csv"]
    assert names(f"{remote}/b.csv.gz") == ["b.csv.gz"]
