"""Manipulated and additional files in a registry: refused by name, never followed, never printed raw."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import card
from tests.support.registry_damage import overwrite
from tests.support.registry_workers import TASK
from tweetelm.registry import current_version, list_versions, publish, read_card, resolve
from tweetelm.registry.__main__ import main
from tweetelm.registry.card import Card, content_of
from tweetelm.registry.versions import check_registry

ESCAPES = ("\x1b[2J", "\n*  hate/20261121-ffffff  macro_f1", "\r", "\x9b31m", "\u202e", "\x7f")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["registry", *arguments])
    main()


def forge(registry: str, change: dict[str, Any]) -> str:
    """Store a manipulated card under a name with the matching digest; returns the version's name."""
    values = json.loads(card().to_json()) | change
    version = f"20261121-{content_of(values)[:6]}"
    values["version"] = version
    folder = f"{TASK}/versions/{version}"
    if "://" not in registry:
        (Path(registry) / folder).mkdir(parents=True)
    overwrite(registry, f"{folder}/card.json", json.dumps(values).encode())
    return version


def in_base(text: str) -> dict[str, Any]:
    return {"base": {**card().base, "name": f"openelm{text}"}}


@pytest.mark.parametrize("text", ESCAPES)
def test_a_card_that_acts_on_a_terminal_is_not_shown(
    registry: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = forge(registry, in_base(text))
    run_main(monkeypatch, "list", "--registry", registry)
    output = capsys.readouterr().out
    assert output == f"{TASK}/{version}: its card is damaged or missing; run verify --all\n"
    for command in (["show", TASK, version], ["promote", TASK, version], ["diff", f"{TASK}/{version}", TASK]):
        with pytest.raises(SystemExit) as end:
            run_main(monkeypatch, *command, "--registry", registry)
        assert "base.name contains characters that control a terminal" in str(end.value.code)
        assert text not in str(end.value.code)
    with pytest.raises(ValueError, match=r"card\.json is damaged"):
        resolve(TASK, registry=registry, version=version)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metrics": {"validation": {"macro_f1": "0.9"}}}, r"metrics\.validation\.macro_f1 is a string"),
        ({"metrics": []}, "metrics is a list; expected an object"),
        ({"metrics": {"validation": 1}}, r"metrics\.validation is a whole number; expected an object"),
        ({"labels": 5}, "labels is a whole number; expected a list"),
        ({"labels": []}, "labels are not a list of names"),
        ({"base": {"name": "x", "init": "magic", "source": ""}}, "base.init is 'magic'; expected one of"),
        ({"base": "x"}, "base is a string; expected an object"),
        ({"data": {"root": "x"}}, "it lacks data.md5"),
        ({"git": {"commit": 1, "dirty": False}}, "git.commit is a whole number"),
        ({"files": {"a": 1}}, "files.a is a whole number; expected a string"),
        ({"temperature": "hot"}, "temperature is a string; expected a number"),
        ({"max_tokens": True}, "max_tokens is true or false; expected a whole number"),
        ({"created": None}, "created is null; expected a string"),
        ({"config": json.loads('{"a": ' * 60 + "1" + "}" * 60)}, "nested too deeply"),
        ({"files": {"../../w": "1" * 64}}, "names files outside the version"),
    ],
)
def test_a_card_with_fields_of_another_kind_is_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    version = forge(str(tmp_path), change)
    with pytest.raises(ValueError, match=rf"card\.json .*{reason}"):
        read_card(TASK, registry=str(tmp_path), version=version)
    assert list_versions(TASK, registry=str(tmp_path)) == []


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_a_damaged_card_is_named(tmp_path: Path, data: bytes) -> None:
    version = forge(str(tmp_path), {})
    overwrite(str(tmp_path), f"{TASK}/versions/{version}/card.json", data)
    with pytest.raises(ValueError, match=rf"{version}/card\.json is damaged"):
        read_card(TASK, registry=str(tmp_path), version=version)
    with pytest.raises(ValueError, match="place is damaged"):
        Card.read(data, "place")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"version": 5, "previous": null, "metric": null}',
        b'{"version": "../../x", "previous": null, "metric": null}',
        b'{"version": "20261121-abc123\\n", "previous": null, "metric": null}',
        b'{"version": null, "previous": null, "metric": "high"}',
        b'{"version": null}',
    ],
)
def test_a_damaged_pointer_is_named_with_what_to_type(registry: str, source: Path, data: bytes) -> None:
    version = publish(source, card(), registry=registry).version
    overwrite(registry, f"{TASK}/current.json", data)
    with pytest.raises(
        ValueError, match=r"current\.json is damaged .*\.registry promote hate VERSION"
    ) as raised:
        current_version(TASK, registry=registry)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=r"current\.json is damaged"):
        check_registry(TASK, registry)
    assert [each.version for each in list_versions(TASK, registry=registry)] == [version]


def test_foreign_files_in_a_checkpoint_are_not_published(source: Path, registry: str) -> None:
    before = publish(source, card(), registry=registry)
    for name in (".DS_Store", "Thumbs.db", "notes.txt", "model.safetensors~", "sub/.DS_Store", "evil.py"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"\0")
    after = publish(source, card(), registry=registry)
    assert after.version == before.version, "other files are not part of the version"
    assert not any("DS_Store" in name for name in read_card(TASK, registry=registry).files)


def test_foreign_files_in_a_registry_break_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = str(tmp_path / "models")
    version = publish(source, card(0.5), registry=registry).version
    folder = tmp_path / "models" / TASK
    for name in (".DS_Store", "versions/.DS_Store", f"versions/{version}/Thumbs.db", ".current.json.swp"):
        (folder / name).write_bytes(b"\0")
    (folder / ".current.json.d").mkdir()
    (folder / "versions" / ".old.thing").mkdir()
    (folder / "versions" / "copy of x").mkdir()
    better = publish(source, card(0.9), registry=registry).version
    assert current_version(TASK, registry=registry) == better
    assert resolve(TASK, registry=registry, version=version).is_dir()
    assert (folder / ".current.json.swp").exists(), "files of other programs are kept"
    with pytest.raises(SystemExit):
        run_main(monkeypatch, "verify", TASK, version, "--registry", registry)
    assert f"{version}: Thumbs.db is not in the card" in capsys.readouterr().out


def test_verify_escapes_the_names_of_files(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = str(tmp_path / "models")
    version = publish(source, card(), registry=registry).version
    (tmp_path / "models" / TASK / "versions" / version / "a\x1b[2J\nb").touch()
    with pytest.raises(SystemExit):
        run_main(monkeypatch, "verify", "--registry", registry)
    assert re.search(r"a\\x1b\[2J\\nb is not in the card\n$", capsys.readouterr().out)


@pytest.mark.parametrize(
    "version", ["../../x", "", ".", "20261121-ABCDEF", "20261121-abc123/..", "x\x1b[2J", "ü"]
)
def test_what_is_no_version_is_refused(registry: str, source: Path, version: str) -> None:
    publish(source, card(), registry=registry)
    if version:
        with pytest.raises(FileNotFoundError, match="hate has no version '") as raised:
            read_card(TASK, registry=registry, version=version)
        assert "\x1b" not in str(raised.value)


def test_a_registry_that_cannot_be_written_is_found_early(tmp_path: Path, remote: str) -> None:
    (tmp_path / "file").write_text("x")
    for place in (str(tmp_path / "file"), str(tmp_path / "file" / "models"), "/proc/models"):
        with pytest.raises(OSError, match=r"file|proc"):
            check_registry(TASK, place)
    with pytest.raises(OSError, match="no-such-bucket"):
        check_registry(TASK, "s3://no-such-bucket/models")
    check_registry(TASK, str(tmp_path / "new" / "models"))
    assert not (tmp_path / "new").exists(), "the check leaves no file"
    check_registry(TASK, remote)
    assert list_versions(TASK, registry=remote) == []
