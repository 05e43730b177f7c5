"""Connecting to Ray: the cluster that RAY_ADDRESS or a job names, or a private one on this machine."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

# Ray reads these when it is imported or when a cluster starts; a value that is set wins.
_SETTINGS = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",  # seconds between polls; each report waits for one
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # else every line of a worker appears twice
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TOKENIZERS_PARALLELISM": "false",
}
_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the cluster has now; an autoscaler may add to it."""

    cpus: int
    gpus: int
    local: bool


def connect() -> Resources:
    """Join the cluster this process belongs to, or start one here.

    Raises:
        ConnectionError: RAY_ADDRESS names a cluster that cannot be reached.
    """
    for key, value in _SETTINGS.items():
        os.environ.setdefault(key, value)
    import ray

    local = "RAY_ADDRESS" not in os.environ
    forwarded = {key: os.environ[key] for key in (*_SETTINGS, "PYTHONPATH") if key in os.environ}
    try:
        context = ray.init(
            address="local" if local else None,
            include_dashboard=True if local else None,
            object_store_memory=_GIB // 2 if local else None,
            logging_level=logging.WARNING,
            log_to_driver=True,
            runtime_env=None if "RAY_JOB_ID" in os.environ or not local else {"env_vars": forwarded},
        )
    except ConnectionError as error:
        raise ConnectionError(
            f"no Ray cluster answers at {os.environ['RAY_ADDRESS']}: {error}\nCheck the address, and that "
            "RAY_AUTH_MODE=token and the cluster's token (RAY_AUTH_TOKEN_PATH) are set here too; or unset "
            "RAY_ADDRESS to run on this machine"
        ) from error
    del context
    if local:
        _protect_token()
    have = ray.cluster_resources()
    return Resources(cpus=int(have.get("CPU", 0)), gpus=int(have.get("GPU", 0)), local=local)


def _protect_token() -> None:
    """Ray writes the token it generates readable by everybody."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)
