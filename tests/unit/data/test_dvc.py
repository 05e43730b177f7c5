"""`python -m tweetelm.data pull` on fresh clones; local git repositories replace those of the authors."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.data_command import run_data
from tests.support.places import ROOT
from tweetelm.data.download import pull
from tweetelm.data.provenance import folder_md5
from tweetelm.files import hashing

SOURCES = {
    "hate": ("https://github.com/cardiffnlp/tweeteval", "datasets/hate"),
    "deepfake": ("https://github.com/tizfa/tweepfake_deepfake_text_detection", "data/splits"),
}
FILES = {
    "hate": {"mapping.txt": b"0\tnot-hate", "train_text.txt": b"hi \n"},
    "deepfake": {"test.csv": b"a;b\n"},
}
LAYOUT = (
    ".gitignore",
    ".dvcignore",
    ".dvc/config",
    ".dvc/.gitignore",
    "upstream/.gitignore",
    "upstream/.dvcignore",
    "upstream/.dvc/config",
    "upstream/.dvc/.gitignore",
    "upstream/raw/hate.dvc",
    "upstream/raw/deepfake.dvc",
    "data.dvc",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (importlib.util.find_spec("dvc") and shutil.which("git")),
        reason="needs git and DVC (`make setup`)",
    ),
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary home, so that DVC and git neither read nor write the user's settings."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("GIT_", "DVC_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    for key, value in {
        "user.name": "Test",
        "user.email": "test@localhost",
        "init.defaultBranch": "main",
    }.items():
        git(home, "config", "--global", key, value)
    return home


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, files: dict[str, bytes]) -> str:
    """Write files into a git repository, commit them and return the commit id. Creates the repository."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Test")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path, home: Path) -> Path:
    """A repository with this project's DVC files, pinned to the local replacement repositories."""
    project = tmp_path / "project"
    for name in LAYOUT:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, project / name)
    for name, (address, path) in SOURCES.items():
        source = tmp_path / f"published-{name}"
        revision = commit(source, {f"{path}/{file}": content for file, content in FILES[name].items()})
        git(home, "config", "--global", f"url.{source}.insteadOf", address)
        pin(project / f"upstream/raw/{name}.dvc", expected(tmp_path) / name, revision)
    pin(project / "data.dvc", expected(tmp_path))
    commit(project, {})
    return project


def expected(tmp_path: Path) -> Path:
    """The expected files of `data/` after a pull."""
    folder = tmp_path / "expected"
    for name, files in FILES.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
    return folder


def pin(file: Path, folder: Path, revision: str | None = None) -> None:
    """Set the hash in a .dvc file to a folder's content and, if given, the revision of its source."""
    stage = yaml.safe_load(file.read_text())
    del stage["md5"]  # the checksum of the file itself; DVC does not require it
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    stage["outs"][0] |= {"md5": folder_md5(folder, content(folder)), "size": sum(sizes), "nfiles": len(sizes)}
    if revision:
        stage["deps"][0]["repo"]["rev_lock"] = revision
    file.write_text(yaml.safe_dump(stage))


def clone(project: Path, name: str = "clone") -> Path:
    git(project.parent, "clone", "--quiet", str(project), name)
    return project.parent / name


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut_off(home: Path) -> None:
    """Make every network address unreachable."""
    (home / ".gitconfig").unlink()
    git(home, "config", "--global", f"url.{home / 'nowhere'}/.insteadOf", "https://")


def test_fresh_clone_pulls_both_datasets(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone(project) / "upstream")
    assert run_data(["pull"]) == 0
    assert content(tmp_path / "clone/data") == content(expected(tmp_path))
    assert re.search(
        r"downloading from the repositories .*\n.*/data is complete: its md5 is", capsys.readouterr().out
    )
    assert git(tmp_path / "clone", "status", "--porcelain") == ""
    assert run_data(["pull"]) == 0
    assert "is up to date" in capsys.readouterr().out


def test_a_copied_cache_serves_a_clone_that_has_no_network(project: Path, tmp_path: Path, home: Path) -> None:
    first = clone(project, "first")
    list(pull(first))
    cut_off(home)
    seed = tmp_path / "seed"
    shutil.copytree(first / ".dvc/cache", seed)
    before = content(seed)
    lines = list(pull(clone(project, "second"), cache=seed))
    assert (
        lines[0] == f"copied 6 of 6 objects from {seed} to {tmp_path}/second/.dvc/cache; no network is needed"
    )
    assert content(tmp_path / "second/data") == content(expected(tmp_path))
    assert content(seed) == before


def without_git(project: Path, name: str) -> Path:
    """The content of a ZIP file of the repository."""
    folder = clone(project, name)
    shutil.rmtree(folder / ".git")
    return folder


def test_a_zip_of_the_repository_gets_the_data(project: Path, tmp_path: Path, home: Path) -> None:
    first = without_git(project, "first")
    assert list(pull(first))[-1].startswith(f"{first / 'data'} is complete: its md5 is the one in data.dvc")
    cut_off(home)
    second = without_git(project, "second")
    assert list(pull(second, cache=first / ".dvc/cache"))[-1].startswith(f"{second / 'data'} is complete")
    assert content(second / "data") == content(expected(tmp_path))


def test_foreign_files_do_not_stop_a_pull(project: Path) -> None:
    first = clone(project)
    list(pull(first))
    (first / "data/hate/.DS_Store").touch()
    lines = list(pull(first))
    assert "is up to date: its md5 is the one in data.dvc" in lines[0]
    assert lines[1] == "ignored files that are not part of the data: hate/.DS_Store"


def test_own_files_below_data_survive_a_pull(project: Path, tmp_path: Path) -> None:
    first = clone(project)
    own = {"stance.toml": b"a", "mine/stance.csv": b"b", "hate/notes.txt": b"c", ".hidden/x": b"d"}
    for name, text in own.items():
        (first / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (first / "data" / name).write_bytes(text)
    (first / "data" / "elsewhere").symlink_to(tmp_path)
    (first / ".own-data" / "mine").mkdir(parents=True)  # of a pull that was killed
    (first / ".own-data" / "mine" / "older.csv").write_bytes(b"e")
    lines = list(pull(first))
    assert any(line.startswith(f"{first / 'data'} is complete") for line in lines)
    for name, text in (own | {"mine/older.csv": b"e"}).items():
        assert (first / "data" / name).read_bytes() == text
    assert (first / "data" / "elsewhere").is_symlink()
    assert not (first / ".own-data").exists()


def test_what_dvc_would_not_replace_is_named(project: Path) -> None:
    first, name = clone(project), "hate/train_text.txt"
    list(pull(first))
    (first / "data/deepfake/test.csv").unlink()
    (first / "data" / name).unlink()
    (first / "data" / name).write_bytes(b"mine")
    with pytest.raises(ValueError, match=rf"DVC does not overwrite files in .*/data .*: {name}\. Move them"):
        list(pull(first))


def test_a_failing_pull_from_a_cache_does_not_advise_the_same(
    project: Path, tmp_path: Path, home: Path
) -> None:
    first = clone(project, "first")
    list(pull(first))
    cut_off(home)
    for path in (first / ".dvc/cache/files/md5").glob("*/*"):
        if path.suffix != ".dir":
            path.unlink()
    with pytest.raises(ValueError, match=r"cache may be incomplete") as raised:
        list(pull(clone(project, "second"), cache=first / ".dvc/cache"))
    assert "make data CACHE" not in str(raised.value)


def test_changed_content_in_a_published_repository_is_refused(project: Path, tmp_path: Path) -> None:
    changed = commit(tmp_path / "published-hate", {"datasets/hate/train_text.txt": b"ho \n"})
    stage = project / "upstream/raw/hate.dvc"
    stage.write_text(re.sub("rev_lock: .*", f"rev_lock: {changed}", stage.read_text()))
    commit(project, {})
    with pytest.raises(ValueError, match=r"`dvc pull` failed in .*/clone"):
        list(pull(clone(project)))
    assert not (tmp_path / "clone/data/hate/train_text.txt").exists()


def test_a_damaged_object_in_a_copied_cache_is_refused_by_name(
    project: Path, tmp_path: Path, home: Path
) -> None:
    first = clone(project, "first")
    list(pull(first))
    cut_off(home)
    tamper(first / ".dvc/cache", first / "data/hate/train_text.txt")
    with pytest.raises(
        ValueError, match=r"files/md5/../\w{30} is damaged: its md5 is \w{32}; expected \w{32}"
    ):
        list(pull(clone(project, "second"), cache=first / ".dvc/cache"))
    assert not (tmp_path / "second/data").exists()


def test_damaged_cache_object_is_detected_after_pull(project: Path) -> None:
    first = clone(project, "first")
    list(pull(first))
    tamper(first / ".dvc/cache", first / "data/hate/train_text.txt")
    shutil.rmtree(first / "data")
    with pytest.raises(
        ValueError, match=r"/data has md5 \w{32}.dir; data.dvc expects \w{32}.dir. .* cache is damaged"
    ):
        list(pull(first))
    for folder in ("data", ".dvc/cache"):  # the remedy in the message
        shutil.rmtree(first / folder)
    assert list(pull(first))[-1].startswith(f"{first / 'data'} is complete: its md5 is the one in data.dvc")


def tamper(cache: Path, file: Path) -> None:
    """Change the object of a file in a cache and keep it read-only: DVC trusts read-only objects."""
    md5 = hashing.md5(file)
    stored = cache / "files/md5" / md5[:2] / md5[2:]
    mode = stored.stat().st_mode
    stored.chmod(0o644)
    stored.write_bytes(b"forged\n")
    stored.chmod(mode)


def test_without_network_and_cache_the_error_says_what_to_type(
    project: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_off(home)
    monkeypatch.chdir(clone(project))
    assert run_data(["pull"]) == 1
    output = capsys.readouterr().err
    assert "`dvc pull` failed" in output
    assert "`make data CACHE=<that folder>`" in output
    assert "`--data.root sample`" in output


def test_a_folder_that_is_no_cache_is_refused(project: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"home is not a DVC cache: it has no files/md5"):
        list(pull(project, cache=tmp_path / "home"))


def test_outside_a_clone_the_error_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no data.dvc in .* run this inside a clone"):
        list(pull(tmp_path))


@pytest.mark.parametrize("damaged", [b"", b"outs: 3", b"\xff", b"a: [", b"outs:\n- path: data\n"])
def test_a_damaged_data_file_is_named(project: Path, damaged: bytes) -> None:
    (project / "data.dvc").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"data\.dvc is damaged \(.*git checkout data\.dvc"):
        list(pull(project))


def test_foreign_files_in_a_copied_cache_are_passed_over(project: Path, home: Path) -> None:
    first = clone(project, "first")
    list(pull(first))
    cut_off(home)
    folder = next((first / ".dvc/cache/files/md5").iterdir())
    (folder / ".DS_Store").touch()
    assert "copied 6 of 6 objects" in next(iter(pull(clone(project, "second"), cache=first / ".dvc/cache")))


def test_pins_are_the_published_revisions() -> None:
    hate, deepfake, data = (yaml.safe_load((ROOT / name).read_text()) for name in LAYOUT[-3:])
    assert hate["deps"][0]["repo"] == {
        "url": SOURCES["hate"][0],
        "rev_lock": "4fbd22cd78421f05b1ecdb4fc5725bc7a7bd8f66",
    }
    assert deepfake["deps"][0]["repo"]["rev_lock"] == "822f238bb3254a109e4ad969bebb2ab4b0b13f7d"
    assert hate["outs"][0]["md5"] == "6132ac5f375c042c01a5a92b66ce18cc.dir"
    assert deepfake["outs"][0]["md5"] == "6ddc44228fcaae781177a9ae7e8cb326.dir"
    # A shallow clone would not contain an earlier revision of this repository.
    assert data["deps"] == [{"path": "raw", "repo": {"url": "upstream"}}]
    assert data["outs"][0]["md5"] == "82b9d46e19fe749acd1b053f008cb027.dir"


TRUE_CACHE = Path(os.environ.get("TWEETELM_DVC_CACHE", ROOT / ".dvc/cache"))


@pytest.mark.skipif(
    not (TRUE_CACHE / "files/md5/82/b9d46e19fe749acd1b053f008cb027.dir").is_file(),
    reason="no DVC cache with the real data at .dvc/cache or $TWEETELM_DVC_CACHE; `make data` makes one",
)
def test_real_cache_restores_the_real_data(tmp_path: Path, home: Path) -> None:
    project = tmp_path / "project"
    commit(project, {name: (ROOT / name).read_bytes() for name in LAYOUT})
    cut_off(home)
    fresh = clone(project)
    lines = list(pull(fresh, cache=TRUE_CACHE))
    assert lines[-1].endswith("its md5 is the one in data.dvc (82b9d46e19fe749acd1b053f008cb027.dir)")
    assert len(content(fresh / "data")) == 10
    status = [sys.executable, "-m", "dvc", "status"]
    done = subprocess.run(status, cwd=fresh, capture_output=True, text=True)
    assert done.stdout == "Data and pipelines are up to date.\n"
