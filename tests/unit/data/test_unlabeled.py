"""Unlabeled tweets: formats, what is left out and counted, refusals."""

import gzip
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from tweetelm.config.text_config import TextConfig
from tweetelm.data.unlabeled import UnlabeledFiles, read_unlabeled

TWEETS = ["first tweet", 'a "quoted", one', "日本語 😂"]


def read(*patterns: Path | str, column: str = "text", **texts: list[str]) -> tuple[list[str], UnlabeledFiles]:
    others: dict[str, Any] = {"train": [], "held_out": [], **texts}
    return read_unlabeled([str(each) for each in patterns], column, text=TextConfig(), **others)


def lines(path: Path, *tweets: str) -> Path:
    path.write_text("".join(f"{tweet}\n" for tweet in tweets), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.txt", "t.txt.gz"])
def test_every_format_gives_the_same_tweets(tmp_path: Path, name: str) -> None:
    table, file = pandas.DataFrame({"id": range(3), "body": TWEETS}), tmp_path / name
    match name.partition(".")[2]:
        case "parquet":
            table.to_parquet(file)
        case "jsonl":
            table.to_json(file, orient="records", lines=True)
        case "txt":
            lines(file, *TWEETS)
        case "txt.gz":
            file.write_bytes(gzip.compress("\r\n".join(TWEETS).encode()))
        case ending:
            table.to_csv(file, sep="\t" if ending == "tsv" else ",", index=False)
    assert read(file, column="body")[0] == TWEETS


def test_held_out_texts_and_duplicates_are_left_out(tmp_path: Path) -> None:
    own = ["new", "", "see https://a.example/1", "in @ann TRAIN", "new", "see https://b.example/2", "  "]
    found, source = read(
        lines(tmp_path / "a.txt", *own),
        train=["in @bob TRAIN"],
        held_out=["see https://c.example/3", "another"],
    )
    assert found == ["new"]
    assert source.left_out == {"empty": 2, "in validation or test": 2, "duplicates": 2}
    assert str(source) == ("1 unlabeled tweets (2 empty, 2 in validation or test, 2 duplicates left out)")


def test_texts_are_compared_as_the_model_reads_them(tmp_path: Path) -> None:
    file = lines(tmp_path / "a.txt", "see https://a.example/1")
    raw = read_unlabeled(
        [str(file)], "text", train=[], held_out=["see https://c.example/3"], text=TextConfig(form="raw")
    )
    assert raw[1].rows == 1


def test_patterns_and_folders_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        lines(tmp_path / f"{name}.txt", f"tweet of {name}")
    (tmp_path / "notes.md").write_text("not read")
    assert read(tmp_path / "*.txt")[0] == read(tmp_path)[0] == ["tweet of a", "tweet of b"]


def test_hash_is_that_of_contents_and_column(tmp_path: Path) -> None:
    one, same = lines(tmp_path / "a.txt", "x"), lines(tmp_path / "b.txt", "x")
    other = lines(tmp_path / "c.txt", "x", "x")
    assert read(one)[1].md5 == read(same)[1].md5
    assert read(one)[1].md5 != read(other)[1].md5
    assert read(one)[1].md5 != read(one, column="body")[1].md5


def test_files_that_give_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist, or matches no file"):
        read(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"a\.md has an unknown format; expected a name that ends in .txt,"):
        read(lines(tmp_path / "a.md", "x"))
    with pytest.raises(ValueError, match=r"no tweet of .*b\.txt is left: 0 empty, 1 in validation or test"):
        read(lines(tmp_path / "b.txt", "x"), held_out=["x"])
    (tmp_path / "c.jsonl").write_text(json.dumps({"body": "x"}))
    with pytest.raises(ValueError, match=r"c\.jsonl, line 1: there is no column 'text'; expected one of"):
        read(tmp_path / "c.jsonl")
