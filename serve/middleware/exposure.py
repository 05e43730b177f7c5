"""Who can reach the service: without keys, nobody beyond this machine."""

import ipaddress

from serve.middleware.auth import FILE_VARIABLE, VARIABLE, Keys


def ensure_guarded(host: str, keys: Keys) -> None:
    """See that an address beyond loopback is bound with API keys only.

    Raises:
        ValueError: there are none.
    """
    if not keys.needed and not is_loopback(host):
        raise ValueError(
            f"host {host} can be reached from other machines, and there are no API keys; set "
            f"{VARIABLE}=KEY,KEY or {FILE_VARIABLE}=FILE where Ray starts, or bind 127.0.0.1"
        )


def ensure_keyed(needed: bool, keys: Keys) -> None:
    """See that a replica of an application that needs API keys has some.

    Raises:
        ValueError: its node's environment has none.
    """
    if needed and not keys.needed:
        raise ValueError(
            "this application needs API keys, and this node has none, so the replica does not start; set "
            f"{VARIABLE}=KEY,KEY or {FILE_VARIABLE}=FILE on every node before `ray start`"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
