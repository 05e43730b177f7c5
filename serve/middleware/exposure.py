"""Refuses to bind an address that other machines can reach unless there are API keys."""

import ipaddress

from serve.middleware.auth import FILE_VARIABLE, VARIABLE, Keys


def ensure_guarded(host: str, keys: Keys) -> None:
    """Check that a host other than loopback is bound only with API keys.

    Raises:
        ValueError: `host` is not loopback and there are no API keys.
    """
    if not keys.needed and not is_loopback(host):
        raise ValueError(
            f"other machines can reach host {host}, and there are no API keys; set {VARIABLE}=KEY,KEY or "
            f"{FILE_VARIABLE}=FILE where Ray starts, or bind 127.0.0.1"
        )


def ensure_keyed(needed: bool, keys: Keys) -> None:
    """Check that a replica has API keys if its application needs them.

    Raises:
        ValueError: the environment of its node has no API keys.
    """
    if needed and not keys.needed:
        raise ValueError(
            "this application needs API keys and this node has none, so the replica does not start; set "
            f"{VARIABLE}=KEY,KEY or {FILE_VARIABLE}=FILE on every node before `ray start`"
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
