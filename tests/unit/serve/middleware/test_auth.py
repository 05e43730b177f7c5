import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serve.api import create_api
from serve.limits import Limits
from serve.middleware import auth as module
from serve.middleware.auth import Keys, ensure_guarded, ensure_keyed
from serve.middleware.gateway import Policy
from serve.settings import Settings
from tests.support.fake_predictor import two_models

ONE, TWO = "the-first-of-the-keys", "the-second-of-the-keys"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_api(two_models(), policy=Policy(keys=Keys(f"{ONE}, partner:{TWO}")))) as client:
        yield client


def test_classification_and_info_routes_need_a_key(client: TestClient) -> None:
    for path in (
        "/v1/classify",
        "/classify",
        "/v1/classify/file",
        "/v1/moderations",
        "/",
        "/models/hate",
        "/predict",
    ):
        response = client.post(path, json={"input": "a", "inputs": "a"})
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer"), path
    for path in ("/info", "/v1/models", "/metrics", "/nothing"):
        assert client.get(path).status_code == 401, path


def test_page_docs_and_probes_need_no_key(client: TestClient) -> None:
    for path in (
        "/",
        "/ui/page.js",
        "/ui/page.css",
        "/docs",
        "/docs/docs.js",
        "/openapi.json",
        "/health",
        "/ready",
    ):
        assert client.get(path).status_code == 200, path


def test_only_valid_keys_are_accepted(client: TestClient) -> None:
    for key in (ONE, TWO):
        assert client.post("/v1/classify", json={"input": "a"}, headers=bearer(key)).status_code == 200
    for wrong in ("", ONE[:-1], ONE + "x", f"{ONE},partner:{TWO}", "partner"):
        assert client.get("/info", headers=bearer(wrong)).status_code == 401
    assert client.get("/info", headers={"Authorization": f"Basic {ONE}"}).status_code == 401
    assert client.get(f"/info?key={ONE}").status_code == 401


def test_keys_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = module.hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append(a)
        return real(a, b)

    monkeypatch.setattr(module.hmac, "compare_digest", counting)
    keys = Keys(f"{ONE},{TWO}")
    for key in (ONE, TWO, "no key at all"):
        keys.name_of(f"Bearer {key}")
    assert len(compared) == 6


def test_key_file_is_reloaded_without_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    file = tmp_path / "keys"
    file.write_text(f"# comment\n\nold:{ONE}\n")
    keys = Keys.of({"TWEETELM_API_KEYS_FILE": str(file)})
    assert (keys.name_of(f"Bearer {ONE}"), keys.name_of(f"Bearer {TWO}")) == ("old", None)
    file.write_text(f"new:{TWO}\n")
    os.utime(file, ns=(time.time_ns(), time.time_ns()))
    assert (keys.name_of(f"Bearer {ONE}"), keys.name_of(f"Bearer {TWO}")) == (None, "new")


@pytest.mark.parametrize("damage", ["emptied", "deleted", "spoilt", "unreadable"])
def test_invalid_key_file_rejects_its_keys(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    file = tmp_path / "keys"
    file.write_text(f"old:{ONE}\n")
    keys = Keys.of({"TWEETELM_API_KEYS_FILE": str(file), "TWEETELM_API_KEYS": f"fixed:{TWO}"})
    with TestClient(create_api(two_models(), policy=Policy(keys=keys))) as client:
        assert client.get("/info", headers=bearer(ONE)).json()["keys_unreadable"] is False
        file.unlink()
        if damage != "deleted":
            file.mkdir() if damage == "unreadable" else file.write_text(
                "" if damage == "emptied" else "short\n"
            )
        assert client.get("/health").status_code == 200  # a probe triggers the reload
        assert client.get("/info", headers=bearer(ONE)).status_code == 401
        assert client.get("/info", headers=bearer(TWO)).json()["keys_unreadable"] is True
        metrics = client.get("/metrics", headers=bearer(TWO)).text
        assert "tweetelm_keys_unreadable 1.0" in metrics
        assert caplog.text.count("API keys: ") == 1
        if damage == "unreadable":
            file.rmdir()
        file.write_text(f"new:{ONE}\n")
        assert client.get("/info", headers=bearer(ONE)).json()["keys_unreadable"] is False


@pytest.mark.parametrize(
    "entry",
    [
        f"alice:{ONE}:{TWO}",
        f"alice:{ONE}:",
        f"{ONE}:{TWO}",
        f":{ONE}",
        f"0123:{ONE}",
        f"two words:{ONE}",
        f"alice: {ONE}",
        f"alice:{ONE} {TWO}",
        f"alice:{ONE}é",
    ],
)
def test_malformed_key_is_rejected_without_quoting_it(entry: str) -> None:
    with pytest.raises(ValueError, match="KEY or name:KEY") as refusal:
        Keys(entry)
    assert ONE not in str(refusal.value)
    assert TWO not in str(refusal.value)


def test_short_and_missing_keys_are_rejected_at_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        Keys("short")
    with pytest.raises(ValueError, match="has no key"):
        Keys(",")
    with pytest.raises(FileNotFoundError):
        Keys.of({"TWEETELM_API_KEYS_FILE": str(tmp_path / "nowhere")})
    for variable in ("TWEETELM_API_KEYS", "TWEETELM_API_KEYS_FILE"):
        with pytest.raises(ValueError, match=f"{variable} is empty"):
            Keys.of({variable: ""})
    assert not Keys.of({}).needed


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_host_beyond_loopback_needs_keys(host: str) -> None:
    with pytest.raises(ValueError, match="TWEETELM_API_KEYS"):
        ensure_guarded(host, Keys())
    ensure_guarded(host, Keys(ONE))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_keys(host: str) -> None:
    ensure_guarded(host, Keys())


def test_replica_without_needed_keys_does_not_start() -> None:
    with pytest.raises(ValueError, match=r"this node has none.*before `ray start`"):
        ensure_keyed(True, Keys())
    ensure_keyed(True, Keys(ONE))
    ensure_keyed(False, Keys())


def test_settings_carry_keys_needed_to_replicas() -> None:
    from serve.app import guarded

    settings = Settings(tasks=("hate",))
    assert guarded(settings, "127.0.0.1", Keys(ONE)).keys_needed
    assert not guarded(settings, "127.0.0.1", Keys()).keys_needed
    assert guarded(Settings(tasks=("hate",), keys_needed=True), "127.0.0.1", Keys()).keys_needed
    with pytest.raises(ValueError, match="other machines can reach host"):
        guarded(settings, "0.0.0.0", Keys())


@pytest.mark.parametrize(
    ("path", "body", "reads"),
    [
        ("/v1/words", {"input": "one two three"}, 4),
        ("/v1/moderations", {"input": ["a", "b"], "model": "tweetelm-all"}, 4),
        ("/v1/classify", {"input": ["a", "", "b"]}, 2),
        ("/predict", {"inputs": [["a"], ["b"]]}, 2),
        ("/models/hate", {"inputs": "a"}, 1),
    ],
)
def test_rate_limit_counts_classified_texts(path: str, body: Any, reads: int) -> None:
    api = create_api(two_models(), policy=Policy(limits=Limits(texts_per_minute=600)))
    with TestClient(api) as client:
        assert client.post(path, json=body).status_code == 200
    left, _ = api.state.rates._left[""]
    assert round(600 - left) == reads


def test_rate_limit_is_per_key_with_retry_after() -> None:
    policy = Policy(keys=Keys(f"{ONE},{TWO}"), limits=Limits(texts_per_minute=60))
    with TestClient(create_api(two_models(), policy=policy)) as client:
        many = {"input": ["a"] * 30}
        for _ in range(2):
            assert client.post("/v1/classify", json=many, headers=bearer(ONE)).status_code == 200
        refused = client.post("/v1/classify", json=many, headers=bearer(ONE))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 25 <= int(refused.headers["retry-after"]) <= 30
        assert client.post("/predict", json={"inputs": "a"}, headers=bearer(TWO)).status_code == 200
        assert "key and replica" in refused.json()["error"]["message"]
