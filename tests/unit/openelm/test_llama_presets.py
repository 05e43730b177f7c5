"""Presets whose weights are a Llama model: in a package, or on the hub."""

import json
from pathlib import Path

import pytest

from tests.support.llamas import llama, write_gguf
from tweetelm.files.hashing import sha256
from tweetelm.files.origin import ORIGIN_FILE
from tweetelm.openelm.__main__ import main
from tweetelm.openelm.checkpoints.hub import fetch, fetch_preset_tokenizer
from tweetelm.openelm.checkpoints.llama_presets import find_llama, find_source, import_once
from tweetelm.openelm.checkpoints.tokenizer import load_tokenizer
from tweetelm.openelm.flops import cost
from tweetelm.openelm.presets import PRESETS, Package, Preset, preset_config

VERSION = "0.3.1"


@pytest.fixture
def preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Preset:
    """A preset whose package is installed in a folder of its own."""
    site = tmp_path / "site"
    (site / "tiny_llama").mkdir(parents=True)
    (site / "tiny_llama" / "__init__.py").write_text("raise RuntimeError('the code must not run')\n")
    file = write_gguf(llama(), site / "tiny_llama" / "tiny.gguf")
    metadata = site / f"tiny_llama-{VERSION}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-llama\nVersion: {VERSION}\n")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    package = Package(
        name="tiny-llama", version=VERSION, module="tiny_llama", file="tiny.gguf", sha256=sha256(file)
    )
    return Preset(name="tiny", config={}, repo="nobody/tiny", llama=True, package=package, license="mit")


def test_the_installed_package_is_used(preset: Preset, tmp_path: Path) -> None:
    found = find_llama(preset)
    folder = import_once(found, "tiny")
    assert folder.parent.parent == tmp_path / "home" / ".cache" / "tweetelm" / "imported"
    origin = json.loads((folder / ORIGIN_FILE).read_text())
    assert (origin["repository"], origin["license"]) == ("nobody/tiny", "mit")
    assert origin["revision"] == f"tiny-llama=={VERSION}"
    before = (folder / "model.safetensors").stat().st_ino
    assert import_once(find_llama(preset, f"tiny-llama=={VERSION}"), "tiny") == folder
    assert (folder / "model.safetensors").stat().st_ino == before


def test_a_damaged_import_is_made_again(preset: Preset) -> None:
    weights = import_once(find_llama(preset), "tiny") / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    assert import_once(find_llama(preset), "tiny") / "model.safetensors" == weights
    assert weights.read_bytes() == whole


def test_a_repository_is_not_its_package(preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "tiny", preset)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch("tiny").commit == f"tiny-llama=={VERSION}"
    with pytest.raises(FileNotFoundError, match="cannot download nobody/tiny at revision main"):
        fetch("nobody/tiny")


def test_planning_reads_only_the_tokenizer(preset: Preset, tmp_path: Path) -> None:
    tokenizer = fetch_preset_tokenizer(preset)
    assert tokenizer.encode("x").tokens[0] == "<s>"
    assert not (tmp_path / "home").exists()
    assert tokenizer.to_str() == load_tokenizer(import_once(find_llama(preset), "tiny")).to_str()


def test_a_damaged_package_is_refused(preset: Preset, tmp_path: Path) -> None:
    with (tmp_path / "site" / "tiny_llama" / "tiny.gguf").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ValueError, match=r"tiny.gguf is missing or damaged; .*--force-reinstall"):
        find_llama(preset)


def test_without_package_and_hub_the_error_names_both(
    preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    metadata = tmp_path / "site" / f"tiny_llama-{VERSION}.dist-info"
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-llama\nVersion: 9\n")
    with pytest.raises(FileNotFoundError, match=rf"(?s)nobody/tiny .*--no-deps tiny-llama=={VERSION}"):
        find_llama(preset)


def test_presets_have_the_published_shapes() -> None:
    assert cost(preset_config("smollm2-135m")).parameters == 134_515_008
    assert cost(preset_config("smollm2-360m")).parameters == 361_821_120


def test_a_llama_folder_names_the_import(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    from tweetelm.openelm.checkpoints.loading import read_config

    with pytest.raises(ValueError, match=rf"type `python -m tweetelm.openelm import {tmp_path} --to FOLDER`"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("openelm-270m", None, "openelm-270m is an OpenELM model already"),
        ("./missing.gguf", "main", "is a path and has no revision 'main'"),
    ],
)
def test_other_sources_are_refused(name: str, revision: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_source(name, revision)


def test_the_command_imports_and_says_what_is_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_gguf(llama(), tmp_path / "m.gguf", general__license="mit")
    line = ["import", str(source), "--to", str(tmp_path / "ours")]
    assert main(line) == 0
    out = capsys.readouterr().out
    assert "parameters in 20 tensors, imported from m (quantization F32, license mit)" in out
    assert f"--model.name {tmp_path / 'ours'}" in out
    assert fetch(str(tmp_path / "ours")).folder == tmp_path / "ours"
    assert main(line) == 2
    assert "ours exists; expected the name of a new folder" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "none"), "--to", str(tmp_path / "two")]) == 2
    assert "none does not exist; expected a GGUF file or a checkpoint's folder" in capsys.readouterr().err
