"""Connecting to Ray: the cluster that RAY_ADDRESS or a job names, or a private one on this machine."""

import json
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from tweetelm.cli.service_startup import RAY_PATIENCE, ensure_open_files, longer_ray_start, start_service

# Ray reads these when it is imported or when a cluster starts; a value that is set wins.
_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # seconds between polls; each report waits for one
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",  # a trial may wait for the ones before it
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # else every line of a worker appears twice
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",  # a host's notice is two minutes, of which this is lost
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by default 15: training would yield to everything else on the machine
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a checkpoint between validations reports no score
    "TOKENIZERS_PARALLELISM": "false",
}
_ALONE = RAY_PATIENCE | {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process less, where no host can be taken back
}
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the cluster has now; an autoscaler may add to it."""

    cpus: int
    gpus: int
    local: bool


def survey() -> Resources:
    """What `connect` would find, without starting anything if it is this machine."""
    if "RAY_ADDRESS" in os.environ:
        return connect()
    import torch

    return Resources(cpus=os.cpu_count() or 1, gpus=torch.cuda.device_count(), local=True)


def connect() -> Resources:
    """Join the cluster this process belongs to, or start one here; once joined, stay.

    Raises:
        ConnectionError: RAY_ADDRESS names a cluster that cannot be reached.
    """
    local = "RAY_ADDRESS" not in os.environ
    for key, value in (_SETTINGS | (_ALONE if local else {})).items():
        os.environ.setdefault(key, value)
    import ray

    try:
        if ray.is_initialized():
            pass
        elif local:
            _start_here()
        else:
            _join(os.environ["RAY_ADDRESS"])
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {os.environ['RAY_ADDRESS']}: {error}\nCheck the address, and that "
            "RAY_AUTH_MODE=token and the cluster's token (RAY_AUTH_TOKEN_PATH) are set here too; or unset "
            "RAY_ADDRESS to run on this machine"
        ) from error
    have = ray.cluster_resources()
    return Resources(cpus=int(have.get("CPU", 0)), gpus=int(have.get("GPU", 0)), local=local)


def _join(address: str) -> None:
    """Join a cluster. Its processes get what a job's own environment does not set already, which Ray would
    refuse to set twice."""
    import ray

    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    given = (job.get("runtime_env") or {}).get("env_vars") or {}
    wanted = _environment(address)
    missing = {key: value for key, value in wanted.items() if key not in given}
    ray.init(logging_level=logging.ERROR, runtime_env={"env_vars": missing})

    from ray_jobs.fault_tolerance.placement_groups import release_leaked  # here: it brings Ray Train

    if left := release_leaked():
        print(f"{left} places that a command before this one had left are given back", flush=True)


def _environment(address: str) -> dict[str, str]:
    """What the processes of a run find in their environment: Ray's settings, where to import from, and the
    cluster's address. Ray's state API, which cleans up after a trial, gives up when it finds several clusters
    on one machine and is not told which is its own."""
    found = {key: os.environ[key] for key in (*_SETTINGS, "PYTHONPATH") if key in os.environ}
    return found | ({"RAY_ADDRESS": address} if ":" in address and "://" not in address else {})


def _start_here() -> None:
    """A cluster of this machine alone.

    Raises:
        DidNotStartError: Ray did not come up, several times.
    """
    import ray

    ensure_open_files()
    start_service(_start_once, ray.shutdown)
    _protect_token()


def _start_once() -> None:
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    os.environ["RAY_GCS_SERVER_PORT"] = str(port)
    with longer_ray_start():
        ray.init(
            address="local",
            object_store_memory=_GIB // 2,
            logging_level=logging.CRITICAL,  # our own error line reports a failed start
            runtime_env={"env_vars": _environment(f"{ray.util.get_node_ip_address()}:{port}")},
        )
    logging.getLogger("ray").setLevel(logging.ERROR)


def _protect_token() -> None:
    """Ray writes the token it generates readable by everybody."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)
