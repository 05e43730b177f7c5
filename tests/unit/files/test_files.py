"""Atomic writes, errors of damaged JSON files, and validation of paths and names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ray_jobs.search.trial_results import load_result
from tests.support.places import ROOT
from tweetelm.config.train_config import DataConfig, ModelConfig, RunConfig, TrainConfig
from tweetelm.data.load import folder
from tweetelm.files import atomic, object_storage
from tweetelm.files.json_file import parse_object
from tweetelm.files.names import check_name, printable
from tweetelm.files.paths import expanded, located
from tweetelm.registry.store import open_store
from tweetelm.tasks import HATE

WRITER = """
import sys
from tweetelm.files import object_storage

for number in range(150):
    object_storage.write(sys.argv[1], sys.argv[2].encode() * 20000)
"""


def test_writers_at_the_same_time_never_fail_or_mix(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(target), letter],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for letter in "abcdef"
    ]
    seen = set()
    while any(process.poll() is None for process in processes):
        if (found := object_storage.read(str(target))) is not None:
            seen.add((len(found), len(set(found))))
    assert [process.communicate()[1] for process in processes] == [""] * 6
    assert seen == {(20000, 1)}
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "file"
    atomic.write(target, b"old")

    def broken() -> "list[bytes]":
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        atomic.write(target, (part for part in [b"new", *broken()]))
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_stays_and_a_device_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic.write_text(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "x"
    atomic.write(Path("/dev/null"), b"x")
    assert not Path("/dev/null").is_file()


def test_a_file_with_the_longest_name_is_written(tmp_path: Path) -> None:
    atomic.write(tmp_path / ("n" * 255), b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{", "not JSON: "),
        (b"\xff\xfe{}", "not UTF-8 at byte 0"),
        (b"[1]", "it contains a list; expected an object"),
        (b"null", "it contains null; expected an object"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a": 1}', "it lacks b"),
        (b'{"a": true, "b": []}', "a is true or false; expected a whole number"),
        (b'{"a": 1, "b": "x"}', "b is a string; expected a list or null"),
        (b'{"a": ' + b"9" * 6000 + b"}", "not JSON|digits"),
    ],
)
def test_damaged_json_is_named_with_what_to_do(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=rf"^there/run\.json is damaged \(.*({reason}).*\); do that$"):
        parse_object(data, "there/run.json", "do that", {"a": int, "b": (list, type(None))})


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"trials": [1], "winner": "a", "speeds": {}}', b"\xff"])
def test_a_damaged_search_result_is_named(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "result.json").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"result\.json is damaged .*delete it and run the command again"):
        load_result(str(tmp_path / "result.json"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "ünï",
        "-a",
        ".a",
        "_a",
        "a b",
        "a\n",
        "a\0",
        "~",
        "x" * 101,
        "日本",
        "a:b",
        "a%",
    ],
)
def test_a_name_that_is_no_good_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^--name is '") as raised:
        check_name(name, "--name")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["a", "hate-270m_v2", "20261121", "A.b", "x" * 100])
def test_a_name_that_is_good_is_taken(name: str) -> None:
    check_name(name, "--name")
    assert TrainConfig(task="hate", name=name).run_name == name


def test_a_run_named_after_a_folder_has_a_safe_name() -> None:
    for place in ("/x/ünï model", "/x/..", "/x/ a", "s3://b/\x1b[2J"):
        check_name(TrainConfig(task="hate", model=ModelConfig(name=place)).run_name, "the name")


def test_what_acts_on_a_terminal_is_escaped() -> None:
    assert printable("a\x1b[2Jb\nc\x9bd\u202ee\u2028f\ud800\r") == (
        "a\\x1b[2Jb\\nc\\x9bd\\u202ee\\u2028f\\ud800\\r"
    )
    assert printable("müde 😂 日本") == "müde 😂 日本"


def test_a_tilde_is_home_to_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    run = RunConfig(storage="~/runs", registry="~/models")
    model = ModelConfig(name="~/model", tokenizer="~/t.json")
    home = str(tmp_path)
    assert (run.storage, run.registry) == (f"{home}/runs", f"{home}/models")
    assert (model.name, model.tokenizer) == (f"{home}/model", f"{home}/t.json")
    assert DataConfig(root="~/data").root == f"{home}/data"
    assert located("~/models") == open_store("~/models").address("x")[:-2] == f"{home}/models"
    assert object_storage.find("~/runs")[1] == f"{home}/runs"
    assert folder(HATE, "~/data") == tmp_path / "data" / "hate"
    assert expanded("s3://bucket/~/x") == "s3://bucket/~/x"


def test_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match=r"~nobody-here/x names the home folder of an unknown user"):
        RunConfig(registry="~nobody-here/x")


def test_an_empty_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"registry is ''; expected a folder or a URL"):
        RunConfig(registry="")
