"""Downloads of weights with huggingface_hub from a hub server on 127.0.0.1."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import torch
from safetensors.torch import load_file, save
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tests.support.hub import Hub
from tests.support.hub_client import Client, RefusedError, client
from tests.support.places import GOLDEN
from tweetelm.openelm.presets import LLAMA_TOKENIZER

pytestmark = pytest.mark.slow  # each test runs a client in a subprocess

TINY = GOLDEN / "tiny_a"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
APPLE = {"openelm-270m": "apple/OpenELM-270M", "openelm-450m": "apple/OpenELM-450M"}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def online(hub: Hub, home: Path) -> Iterator[Client]:
    with client(hub.url, home) as connected:
        yield connected


def tensors(scale: float = 1.0) -> dict[str, torch.Tensor]:
    """The stored model in bfloat16, the format that Apple publishes."""
    return {key: (value * scale).bfloat16() for key, value in load_file(TINY / WEIGHTS).items()}


def digests(weights: dict[str, torch.Tensor]) -> dict[str, str]:
    return {
        key: hashlib.sha256(value.float().numpy().tobytes()).hexdigest() for key, value in weights.items()
    }


def official(weights: dict[str, torch.Tensor] | None = None, marker: Path | None = None) -> dict[str, bytes]:
    """A repository in Apple's layout: no tokenizer, and code that writes a marker file if it is run."""
    code = f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n".encode()
    return {
        "README.md": b"# OpenELM",
        CONFIG: (TINY / CONFIG).read_bytes(),
        "configuration_openelm.py": code,
        "generation_config.json": b'{"bos_token_id": 1, "eos_token_id": 2}',
        "modeling_openelm.py": code,
        WEIGHTS: save(weights or tensors(), {"format": "pt"}),
    }


@pytest.mark.parametrize(("preset", "repo"), APPLE.items())
def test_a_preset_is_fetched_by_its_hub_id(hub: Hub, online: Client, preset: str, repo: str) -> None:
    sha = hub.commit(repo, official())
    assert online("fetch", preset) == {"repo": repo, "commit": sha, "files": [CONFIG, WEIGHTS]}
    assert hub.asked(f"/api/models/{repo}/revision/main")


def test_bf16_weights_become_float32_master_weights(hub: Hub, online: Client) -> None:
    hub.commit("test/bfloat16", official())
    loaded = online("load", "test/bfloat16")
    assert loaded["tensors"] == digests(tensors())
    assert loaded["dtypes"] == ["torch.float32"]


def test_transformers_loads_the_same_tensors_by_id(hub: Hub, online: Client) -> None:
    hub.commit("test/transformers", official())
    assert online("load_with_transformers", "test/transformers")["tensors"] == digests(tensors())


def test_code_in_a_repository_is_neither_run_nor_downloaded(hub: Hub, online: Client, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    files = official(marker=marker)
    exec(files["modeling_openelm.py"], {})  # check that the code writes the marker
    marker.unlink()
    hub.commit("test/hostile", files)
    online("load", "test/hostile")
    online("load_with_transformers", "test/hostile")
    assert not marker.exists()
    assert hub.asked("/test/hostile/resolve/")
    assert not [request for request in hub.asked("/test/hostile/") if ".py" in request]


def test_a_revision_means_that_revisions_weights(hub: Hub, online: Client) -> None:
    first = hub.commit("test/pinned", official(tensors(1.0)))
    second = hub.commit("test/pinned", official(tensors(2.0)))
    hub.commit("test/pinned", official(tensors(3.0)), branch="next")
    assert online("fetch", "test/pinned", first)["commit"] == first
    assert online("fetch", "test/pinned")["commit"] == second
    for revision, scale in ((first, 1.0), ("main", 2.0), ("next", 3.0)):
        assert online("load", "test/pinned", revision)["tensors"] == digests(tensors(scale))


def test_a_second_load_downloads_no_file_again(hub: Hub, online: Client) -> None:
    hub.commit("test/cached", official())
    online("load", "test/cached")
    assert [request for request in hub.asked("/test/cached/") if WEIGHTS in request]
    before = len(hub.requests)
    online("load", "test/cached")
    assert [path for _, path in hub.requests[before:] if "/api/" not in path] == []


def test_only_cached_repositories_load_offline(hub: Hub, online: Client, home: Path) -> None:
    sha = hub.commit("test/offline", official())
    online("fetch", "test/offline")
    before = len(hub.requests)
    with client(hub.url, home, HF_HUB_OFFLINE="1") as offline:
        assert offline("fetch", "test/offline")["commit"] == sha
        assert offline("load", "test/offline")["tensors"] == digests(tensors())
        with pytest.raises(RefusedError, match=r"--local-dir DIR` and set --model.name DIR"):
            offline("fetch", "test/never-seen")
    assert hub.requests[before:] == []


def test_an_unknown_repository_is_refused_by_name(online: Client) -> None:
    with pytest.raises(RefusedError, match=r"FileNotFoundError: cannot download test/none .*\nCheck the"):
        online("fetch", "test/none")


def test_an_unknown_revision_is_refused_by_name(hub: Hub, online: Client) -> None:
    hub.commit("test/known", official())
    with pytest.raises(RefusedError, match=r"revision v9 (.|\n)*omit --model.revision"):
        online("fetch", "test/known", "v9")


def test_without_a_hub_the_error_says_what_to_type(hub: Hub, online: Client) -> None:
    with hub.down(), pytest.raises(RefusedError) as refused:
        online("fetch", "openelm-3b")
    message = str(refused.value)
    assert message.startswith(
        "FileNotFoundError: cannot download apple/OpenELM-3B at revision main from the model hub"
    )
    assert "Connection refused" in message
    assert "`hf download apple/OpenELM-3B --local-dir DIR`" in message
    assert "--model.init random" in message


def test_offline_tokenizer_error_names_the_flag(hub: Hub, online: Client) -> None:
    with hub.down(), pytest.raises(RefusedError) as refused:
        online("fetch_tokenizer", "test/tokenizer-alone")
    assert str(refused.value).endswith("--local-dir DIR` and set --model.tokenizer DIR")


def test_a_repository_of_pickles_is_refused_unread(hub: Hub, online: Client) -> None:
    files = official() | {"pytorch_model.bin": b"\x80\x04."}
    del files[WEIGHTS]
    hub.commit("test/pickles", files)
    with pytest.raises(RefusedError, match=r"test/pickles at revision main has no model.safetensors"):
        online("fetch", "test/pickles")
    assert not [request for request in hub.asked("/test/pickles/") if ".bin" in request]


def test_a_sharded_repository_loads_whole(hub: Hub, online: Client) -> None:
    files, weights = official(), tensors()
    del files[WEIGHTS]
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for name, keys in shards.items():
        files[name] = save({key: weights[key] for key in keys}, {"format": "pt"})
    index: dict[str, Any] = {
        "metadata": {},
        "weight_map": {key: name for name, keys in shards.items() for key in keys},
    }
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    hub.commit("test/sharded", files)
    assert online("load", "test/sharded")["tensors"] == digests(weights)


def test_a_download_that_breaks_off_goes_on_and_arrives_whole(hub: Hub, online: Client) -> None:
    hub.commit("test/cut", official())
    hub.cut_next_download_after = 1000
    assert online("load", "test/cut")["tensors"] == digests(tensors())
    assert len([r for r in hub.asked("/test/cut/storage/") if r.startswith("GET")]) == 2


def test_local_hub_redirects_large_files(hub: Hub) -> None:
    files = official()
    sha = hub.commit("test/ranges", files)
    url = f"{hub.url}/test/ranges/resolve/{sha}/{WEIGHTS}"
    with urlopen(Request(url, headers={"Range": "bytes=10-19"})) as answer:
        assert (answer.status, answer.read()) == (206, files[WEIGHTS][10:20])
        assert "/storage/" in answer.url


def tokenizer() -> bytes:
    """A tokenizer with fewer tokens than the stored model has embeddings."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=100, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False
    )
    trained.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 3, trainer)
    return trained.to_str().encode()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_training_starts_from_hub_weights(hub: Hub, online: Client, elsewhere: bool) -> None:
    sha = hub.commit("apple/OpenELM-270M-Instruct", official())
    files = {"tokenizer.json": tokenizer(), "tokenizer_config.json": b'{"bos_token": {"content": "<s>"}}'}
    hub.commit(LLAMA_TOKENIZER, {**files, CONFIG: b"{}", WEIGHTS: b"of another model"})
    start = online("prepare", "openelm-270m-instruct", elsewhere)
    score = start["tensors"].pop("score.weight")
    assert start["tensors"] == digests(tensors())
    assert score
    assert start["commit"] == sha
    assert max(start["tokens"]) > 5
    assert not [request for request in hub.asked(f"/{LLAMA_TOKENIZER}/") if WEIGHTS in request]
