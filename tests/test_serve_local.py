import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve import local
from serve.local import HOST, environment, free_port
from serve.settings import Settings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_asked_for_that_is_taken_is_an_error_that_names_it(taken: int) -> None:
    with pytest.raises(ValueError, match=f"port {taken} .* is taken"):
        free_port(taken)


def test_without_a_port_the_next_free_one_is_taken(taken: int) -> None:
    assert free_port(None, first=taken) > taken


def test_ray_gets_a_token_that_only_the_user_can_read(tmp_path: Path) -> None:
    extra = environment({}, tmp_path)
    assert extra["RAY_AUTH_MODE"] == "token"
    token = Path(extra["RAY_AUTH_TOKEN_PATH"])
    assert len(token.read_text()) == 64
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


@pytest.mark.parametrize("given", [{"RAY_AUTH_TOKEN": "t"}, {"RAY_AUTH_TOKEN_PATH": "p"}])
def test_a_token_that_is_set_is_kept(given: dict[str, str], tmp_path: Path) -> None:
    assert environment(given, tmp_path).keys() == {
        "RAY_AUTH_MODE",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
        "RAY_USAGE_STATS_ENABLED",
        "RAY_worker_niceness",
    }
    assert not list(tmp_path.iterdir())


def test_an_environment_that_turns_the_token_off_is_obeyed(tmp_path: Path) -> None:
    given = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "1",
        "RAY_worker_niceness": "5",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "mine:middlewares",
    }
    assert environment(given, tmp_path) == {}


@pytest.mark.parametrize(("machine", "gpus"), [({"CPU": 4.0}, 0), ({"CPU": 4.0, "GPU": 2.0}, 1)])
def test_the_one_replica_of_a_machine_gets_its_cpus_and_a_gpu_if_there_is_one(
    machine: dict[str, float], gpus: int
) -> None:
    found = Settings().model_copy(update=local._all_of(machine))
    assert (found.threads, found.gpus, found.max_replicas) == (4, gpus, 1)
