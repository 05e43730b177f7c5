"""Connects to the Ray cluster of RAY_ADDRESS or of the job, or starts a private one on this machine."""

import json
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from tweetelm.cli.ray_startup import RAY_PATIENCE, ensure_open_files, longer_ray_start, start_service

# Ray reads these at import or when a cluster starts; values in the environment take precedence.
_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # seconds between polls; each report waits for one
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "86400",  # a trial may wait for earlier trials
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # otherwise workers' lines are printed twice
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",  # seconds; the notice period of a spot instance is 120 s
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # the default of 15 gives training the lowest priority
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # checkpoints between validations have no score
    "TOKENIZERS_PARALLELISM": "false",
}
_ALONE = RAY_PATIENCE | {
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # saves a process; a local machine is not preempted
}
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The present CPUs and GPUs of the cluster; an autoscaler may add more. `local`: this machine alone."""

    cpus: int
    gpus: int
    local: bool


def survey() -> Resources:
    """Return the resources that `connect` would find, without starting Ray on this machine."""
    if "RAY_ADDRESS" in os.environ:
        return connect()
    import torch

    from tweetelm.threads import usable_cpus

    return Resources(cpus=usable_cpus(), gpus=torch.cuda.device_count(), local=True)


def connect() -> Resources:
    """Join the cluster of RAY_ADDRESS, or start one on this machine; repeated calls reuse the connection.

    Raises:
        ConnectionError: the cluster of RAY_ADDRESS cannot be reached.
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
            f"no Ray cluster answers at {os.environ['RAY_ADDRESS']}: {error}\nCheck the address, and set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as on the cluster; or unset RAY_ADDRESS to run on "
            "this machine"
        ) from error
    have = ray.cluster_resources()
    return Resources(cpus=int(have.get("CPU", 0)), gpus=int(have.get("GPU", 0)), local=local)


def _join(address: str) -> None:
    """Join a cluster, and set the environment of its workers, except for variables that the job's runtime_env
    sets: Ray rejects conflicting values."""
    import ray

    job = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    given = (job.get("runtime_env") or {}).get("env_vars") or {}
    wanted = _environment(address)
    missing = {key: value for key, value in wanted.items() if key not in given}
    ray.init(logging_level=logging.ERROR, runtime_env={"env_vars": missing})

    from ray_jobs.fault_tolerance.placement_groups import release_leaked  # lazy: it imports Ray Train

    if count := release_leaked():
        print(f"Released {count} placement groups leaked by earlier jobs", flush=True)


def _environment(address: str) -> dict[str, str]:
    """Return the environment of a run's workers: Ray's settings, PYTHONPATH and the cluster's address.

    The state API, which cleans up after a trial, needs the address if several clusters run on one machine.
    """
    found = {key: os.environ[key] for key in (*_SETTINGS, "PYTHONPATH") if key in os.environ}
    return found | ({"RAY_ADDRESS": address} if ":" in address and "://" not in address else {})


def _start_here() -> None:
    """Start a cluster on this machine.

    Raises:
        DidNotStartError: Ray failed to start several times.
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
    """Make Ray's generated token file private; Ray creates it world-readable."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)
