import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import checkpoints
from tests.support.fakes import card, synthetic
from tests.support.places import ROOT
from tests.support.registry_damage import overwrite, remove
from tweetelm.registry import (
    Card,
    current_version,
    list_versions,
    publish,
    read_card,
)
from tweetelm.registry.__main__ import main


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["registry", *arguments])
    main()


def test_list_shows_every_version_and_marks_the_served_one(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_main(monkeypatch, "list", "--registry", registry)
    assert "has no published version" in capsys.readouterr().out
    served = publish(source, card(0.7), registry=registry).version
    other = publish(another, synthetic(0.6), registry=registry).version
    run_main(monkeypatch, "list", "--registry", registry)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.search(
        rf"^\*  hate/{served} +macro_f1 +0\.7000 +0\.5000 +openelm-270m +0{{8}}", "\n".join(lines), re.M
    )
    assert re.search(rf"^   hate/{other} .*synthetic", "\n".join(lines), re.M)


def test_show_promote_and_rollback_from_the_command_line(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    best = publish(source, card(0.7), registry=registry).version
    worse = publish(another, card(0.6), registry=registry).version
    run_main(monkeypatch, "show", "hate", "--registry", registry)
    assert Card.from_json(capsys.readouterr().out) == read_card("hate", registry=registry, version=best)
    run_main(monkeypatch, "promote", "hate", worse, "--registry", registry)
    assert current_version("hate", registry=registry) == worse
    run_main(monkeypatch, "rollback", "hate", "--registry", registry)
    assert current_version("hate", registry=registry) == best


def test_usage_error_is_one_line_and_fails(tmp_path: Path) -> None:
    source = ROOT / "src"
    result = subprocess.run(
        [sys.executable, "-m", "tweetelm.registry", "show", "hate", "--registry", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert result.returncode == 1
    assert result.stderr.startswith("hate has no published version")
    assert len(result.stderr.splitlines()) == 1


def test_list_works_with_damaged_card_or_pointer(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = publish(source, card(0.6), registry=registry).version
    good = publish(another, card(0.7), registry=registry).version
    overwrite(registry, f"hate/versions/{bad}/card.json", b"{")
    overwrite(registry, "hate/current.json", b"{")
    run_main(monkeypatch, "list", "--registry", registry)
    out = capsys.readouterr().out
    assert re.search(rf"^ +hate/{good} +macro_f1 +0\.7000", out, re.M)
    assert re.search(rf"^hate/{bad}: its card is damaged", out, re.M)
    assert re.search(r"current.json is damaged .*registry promote hate VERSION", out)


def test_diff_shows_what_differs_and_the_metrics_side_by_side(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = publish(source, card(0.6), registry=registry).version
    new = publish(another, card(0.7, max_tokens=64), registry=registry).version
    run_main(monkeypatch, "diff", f"hate/{old}", "hate", "--registry", registry)
    out = capsys.readouterr().out
    assert re.search(rf"^setting +hate/{old} +hate/{new}$", out, re.M)
    assert re.search(r"^max_tokens +\d+ +64$", out, re.M)
    assert re.search(r"^validation.macro_f1 +0.6 +0.7 +\+0.1$", out, re.M)
    with pytest.raises(SystemExit, match="'2026' is not a version; expected TASK/VERSION"):
        run_main(monkeypatch, "diff", "2026", "hate", "--registry", registry)


def test_verify_reports_only_damaged_versions(
    registry: str,
    source: Path,
    another: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = publish(source, card(0.6), registry=registry).version
    new = publish(another, card(0.7), registry=registry).version
    run_main(monkeypatch, "verify", "--all", "--registry", registry)
    assert capsys.readouterr().out.splitlines() == [f"hate/{v}: intact" for v in sorted([old, new])]
    overwrite(registry, f"hate/versions/{old}/tokenizer.json", b"{2}")
    overwrite(registry, f"hate/versions/{old}/adapter_config.json", b"{}")
    remove(registry, f"hate/versions/{old}/encoding.json")
    run_main(monkeypatch, "verify", "--registry", registry)
    assert capsys.readouterr().out.splitlines() == [f"hate/{new}: intact"]
    for arguments in (["--all"], ["hate", old]):
        with pytest.raises(SystemExit, match=r"^1 of \d versions are damaged"):
            run_main(monkeypatch, "verify", *arguments, "--registry", registry)
        out = capsys.readouterr().out
        assert f"hate/{old}: encoding.json is missing" in out
        assert f"hate/{old}: adapter_config.json is not in the card" in out
        assert re.search(rf"hate/{old}: tokenizer.json has sha256 \w+; expected \w+ from its card", out)


def test_verify_notices_a_pointer_to_nothing(
    registry: str, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(source, card(), registry=registry)
    gone = b'{"version": "20200101-000000", "previous": null, "metric": 1}'
    overwrite(registry, "hate/current.json", gone)
    with pytest.raises(SystemExit, match="0 of 0"):
        run_main(monkeypatch, "verify", "--registry", registry)
    assert "current.json names 20200101-000000: not stored" in capsys.readouterr().out


def test_verify_of_nothing_is_a_failure(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"has no published version to verify"):
        run_main(monkeypatch, "verify", "--registry", registry)


def test_an_unfinished_upload_is_no_version_and_no_damage(
    remote: str, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = publish(source, card(), registry=remote).version
    overwrite(remote, "hate/versions/20261122-abcdef/model.safetensors", b"half")
    run_main(monkeypatch, "verify", "--all", "--registry", remote)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("hate/20261122-abcdef: incomplete, not a version")
    assert out[1] == f"hate/{version}: intact"
    assert [each.version for each in list_versions("hate", registry=remote)] == [version]


def test_export_has_all_files_and_never_overwrites(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(checkpoints.checkpoint(tmp_path / "run"), card(), registry=registry).version
    overwrite(registry, f"hate/versions/{version}/notes.txt", b"a tweet, word for word")
    run_main(monkeypatch, "export", "hate", version, str(tmp_path / "out"), "--registry", registry)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*read_card("hate", registry=registry).files, "card.json"}
    with pytest.raises(SystemExit, match="exists; exports do not overwrite"):
        run_main(monkeypatch, "export", "hate", version, str(tmp_path / "out"), "--registry", registry)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="exists; exports do not overwrite"):
        run_main(monkeypatch, "export", "hate", version, str(tmp_path / "empty"), "--registry", registry)
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_damaged_version_is_not_exported(
    registry: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish(source, card(), registry=registry).version
    overwrite(registry, f"hate/versions/{version}/tokenizer.json", b"{2}")
    with pytest.raises(SystemExit, match=r"tokenizer.json has sha256"):
        run_main(monkeypatch, "export", "hate", version, str(tmp_path / "out"), "--registry", registry)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {"checkpoint", *registry_folder(registry)}
    )


def registry_folder(registry: str) -> set[str]:
    return set() if "://" in registry else {Path(registry).name}
