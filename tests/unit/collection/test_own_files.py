"""Collection without the API, from files that a person already has."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ray_jobs.collect import Arguments, run
from tests.support.collecting import manifest, rows
from tests.support.x_archive import TIME, archive, javascript, tweet

START = "long " * 50
V2_PAGE = {
    "data": [
        {"id": "1", "text": "one", "author_id": "9"},
        {"id": "2", "text": "RT @x: two", "author_id": "9"},
    ],
    "includes": {"users": [{"id": "9", "username": "nasa", "name": "Private"}]},
}


def collect(out: Path, *files: Path, **flags: Any) -> int:
    return run(Arguments(out=str(out), from_=tuple(map(str, files)), **flags), {})


def test_account_archive_is_read(tmp_path: Path) -> None:
    reply = tweet(3, "@x yes", in_reply_to_status_id_str="1")
    found = archive(tmp_path / "a.zip", [tweet(1, "a &amp; b\nc"), tweet(2, "RT @x: y"), reply])
    assert collect(tmp_path / "out", found) == 0
    assert [(row["screen_name"], row["id"], row["text"]) for row in rows(tmp_path / "out")] == [
        ("Ada", "1", "a & b\nc")
    ]
    assert manifest(tmp_path / "out")["left_out"] == {"reply": 1, "retweet": 1}
    assert manifest(tmp_path / "out")["cost"]["dollars"] == 0
    text = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json"))
    assert "example.org" not in text
    assert str(tmp_path) not in text


def test_all_parts_of_an_archive_are_read(tmp_path: Path) -> None:
    more = {"tweets_part1": javascript("tweets", [tweet(5, "five")])}
    collect(tmp_path / "out", archive(tmp_path / "a.zip", [tweet(1, "one")], **more))
    assert [row["text"] for row in rows(tmp_path / "out")] == ["one", "five"]


def test_long_posts_of_an_archive_are_whole(tmp_path: Path) -> None:
    whole = f"{START}and the end"
    note = javascript("note_tweet", [{"noteTweet": {"noteTweetId": "77", "core": {"text": whole}}}])
    cut = tweet(1, f"{START}… https://t.co/abc")
    collect(tmp_path / "out", archive(tmp_path / "a.zip", [cut], note_tweet=note))
    assert rows(tmp_path / "out")[0]["text"] == whole


def test_cut_posts_without_their_rest_are_left_out(tmp_path: Path) -> None:
    tweets = [tweet(1, f"{START}… https://t.co/abc"), tweet(2, "I wonder…")]
    collect(tmp_path / "out", archive(tmp_path / "a.zip", tweets))
    assert [row["id"] for row in rows(tmp_path / "out")] == ["2"]
    assert manifest(tmp_path / "out")["left_out"] == {"cut": 1}


def test_bare_tweets_file_needs_the_account(tmp_path: Path) -> None:
    (tmp_path / "tweet.js").write_text(javascript("tweet", [tweet(1, "one")]))
    with pytest.raises(ValueError, match=r"tweet 0: the post has no author; name its account.*--accounts"):
        collect(tmp_path / "out", tmp_path / "tweet.js")
    collect(tmp_path / "named", tmp_path / "tweet.js", accounts=("@ada",))
    assert rows(tmp_path / "named")[0]["screen_name"] == "ada"


def test_json_lines_of_both_versions_are_read(tmp_path: Path) -> None:
    v1 = {
        "id_str": "3",
        "full_text": "three",
        "created_at": TIME,
        "user": {"screen_name": "esa", "name": "Private"},
    }
    flat = {"id": "4", "text": "four", "author": {"username": "NASA"}, "created_at": "2026-03-01T12:00:00Z"}
    lines = "\n".join(json.dumps(each) for each in (V2_PAGE, v1, flat)) + "\n"
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(lines)
    collect(tmp_path / "out", tmp_path / "a.jsonl.gz")
    assert [(row["screen_name"], row["text"]) for row in rows(tmp_path / "out")] == [
        ("esa", "three"),
        ("nasa", "one"),
        ("NASA", "four"),
    ]
    assert list(manifest(tmp_path / "out")["accounts"]) == ["esa", "nasa"]
    assert "Private" not in "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json"))


def test_table_is_read_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'tweet;who;nr;created_at\n"a;b\n&gt;";@ada;7;2026-03-01\nRT @x: y;ada;8;\n'
    )
    collect(tmp_path / "out", tmp_path / "a.csv", text="tweet", author="who", id="nr")
    assert [(row["id"], row["text"], row["created_at"]) for row in rows(tmp_path / "out")] == [
        ("7", "a;b\n>", "2026-03-01T00:00:00Z")
    ]


def test_window_and_number_of_posts_are_bounds(tmp_path: Path) -> None:
    lines = [f"post {n},ada,{n},2026-03-{n:02}" for n in range(1, 11)]
    (tmp_path / "a.csv").write_text("\n".join(["text,screen_name,id,created_at", *lines]) + "\n")
    flags: dict[str, Any] = {"since": "2026-03-02", "until": "2026-03-09", "max_posts": 5}
    collect(tmp_path / "out", tmp_path / "a.csv", **flags)
    assert [row["id"] for row in rows(tmp_path / "out")] == ["4", "5", "6", "7", "8"]
    assert manifest(tmp_path / "out")["left_out"] == {"max_posts": 2, "window": 3}


def test_accounts_select_rows_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,screen_name,id\none,ada,1\ntwo,bob,2\n")
    collect(tmp_path / "out", tmp_path / "a.csv", accounts=("BOB",))
    assert [row["text"] for row in rows(tmp_path / "out")] == ["two"]


def test_post_in_two_files_is_one_row(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text,screen_name,id\none,ada,1\n")
    collect(tmp_path / "out", tmp_path / "a.csv", tmp_path / "b.csv")
    assert len(rows(tmp_path / "out")) == 1


def test_changed_file_is_other_settings(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,screen_name,id\none,ada,1\n")
    collect(tmp_path / "out", tmp_path / "a.csv")
    collect(tmp_path / "out", tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("text,screen_name,id\ntwo,ada,1\n")
    with pytest.raises(ValueError, match=r"(?s)other settings.*files\.a\.csv: "):
        collect(tmp_path / "out", tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", "no zip", r"a\.zip is damaged.*download the archive again"),
        ("a.js", "window.YTD.tweets.part0 = [ {", r"a\.js is damaged \(not JSON"),
        ("a.js", "window.YTD.tweets.part0 = {}", "has no list of objects"),
        ("a.csv", "text,screen_name\none,ada\n", "there is no column 'id'"),
        ("a.csv", "text,screen_name,id\none,ada,x1\n", r"row 1.*the id of the post is 'x1'"),
        ("a.csv", "text,screen_name,id\none,../ada,1\n", r"row 1.*is no screen name"),
        ("a.jsonl", '{"id": "1", "text": "one"}\n', r"line 1: the post has no author"),
        ("a.jsonl", '{"id": "1"\n', r"line 1: not JSON"),
        ("a.jsonl", '{"id": "1", "user": {"screen_name": "ada"}}\n', r"line 1: the text is None"),
        ("a.jsonl", '[1]\n', r"line 1: is list"),
        ("a.jsonl", '{"data": [1]}\n', r"line 1: a post is 1; expected an object"),
        ("a.doc", "x", "the format of .* is unknown"),
        ("none.csv", None, "does not exist"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_in_one_line(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        collect(tmp_path / "out", tmp_path / name)
    assert not (tmp_path / "out" / "rows.csv").exists()
