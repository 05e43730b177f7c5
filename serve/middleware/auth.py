"""API keys: several at once, compared in constant time, and reloaded without a restart."""

import hashlib
import hmac
import ipaddress
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLE = "TWEETELM_API_KEYS"
FILE_VARIABLE = "TWEETELM_API_KEYS_FILE"
SHORTEST = 16
REFRESH_S = 1.0
# Shorter than any key, so that a part of a key cannot be read as a name.
_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9._-]{{0,{SHORTEST - 2}}}")
_KEY = re.compile(r"[!-9;-~]+")  # printable ASCII without a colon
logger = logging.getLogger("tweetelm.serve")


class Keys:
    """API keys from `TWEETELM_API_KEYS=KEY,KEY` or from a file with one key per line.

    `name:KEY` gives a key a name for the log and the rate limit. The file is reloaded when it changes. While
    it is missing or invalid, its keys are rejected. Without either variable, every client is accepted.

    Attributes:
        needed: Whether clients must send a key.
        fault: Why the file's keys are rejected; "" while the file is valid.
    """

    def __init__(self, listed: str | None = None, file: Path | None = None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._looked = -REFRESH_S
        self._fixed = _parse(listed.replace(",", "\n"), f"${VARIABLE}") if listed else {}
        self._digests = dict(self._fixed)
        self.needed = bool(listed) or file is not None
        self.fault = ""
        if file is not None:
            self._looked = time.monotonic()
            self._read(file)

    @property
    def clients(self) -> int:
        """Number of names of valid keys; 1 without keys, when all requests are of one client."""
        return max(1, len({*self._digests.values()}))

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Keys":
        """Read the keys that the environment variables give.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: a key is invalid or too short, there is none, or a variable is set to the empty
                string.
        """
        for variable in (VARIABLE, FILE_VARIABLE):
            if environment.get(variable) == "":  # a missing secret must not disable authentication
                raise ValueError(f"${variable} is empty; set it to a key, or unset it to accept every client")
        file = environment.get(FILE_VARIABLE)
        return cls(environment.get(VARIABLE), Path(file).expanduser() if file else None)

    @staticmethod
    def first(environment: Mapping[str, str]) -> str:
        """Return a valid key for requests to this service; "" if it needs none."""
        file = environment.get(FILE_VARIABLE)
        listed = environment.get(VARIABLE, "").replace(",", "\n")
        return next(
            (key for _, key in _entries(listed or (Path(file).expanduser().read_text() if file else ""))), ""
        )

    def name_of(self, authorization: str) -> str | None:
        """Return the name of the key in a header `Authorization: Bearer KEY`; None if the key is invalid."""
        self.refresh()
        scheme, _, key = authorization.partition(" ")
        digest = _digest(key.strip() if scheme.lower() == "bearer" else "")
        found = None
        for known, name in self._digests.items():  # no early exit: constant time
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def refresh(self) -> None:
        """Reload the file if it changed, at most once a second."""
        if self._file is None or time.monotonic() - self._looked < REFRESH_S:
            return
        self._looked = time.monotonic()
        try:
            self._read(self._file)
            fault = ""
        except (OSError, ValueError) as error:
            self._digests, self._seen = dict(self._fixed), None
            fault = f"{type(error).__name__}: {error}"
        if fault != self.fault:
            logger.error("API keys: %s", fault or f"{self._file} is valid again")
        self.fault = fault

    def _read(self, file: Path) -> None:
        state = os.stat(file)
        if (state.st_mtime_ns, state.st_size) != self._seen:
            self._digests = self._fixed | _parse(file.read_text(encoding="utf-8"), str(file))
            self._seen = (state.st_mtime_ns, state.st_size)


def _parse(text: str, source: str) -> dict[bytes, str]:
    """Return the SHA-256 digests of the keys, with the names under which they are logged.

    Raises:
        ValueError: an entry is neither a key nor `name:KEY`, a key is too short, or there is none.
    """
    found: dict[bytes, str] = {}
    for number, (name, key) in enumerate(_entries(text), 1):
        _check(name, key, f"entry {number} of {source}")
        digest = _digest(key)
        found[digest] = name or hashlib.sha256(digest).hexdigest()[:8]
    if not found:
        raise ValueError(
            f"{source} has no key; add at least one, or unset the variable to accept every client"
        )
    return found


def _check(name: str | None, key: str, source: str) -> None:
    """Check that an entry is `KEY` or `name:KEY`; error messages do not contain its text.

    Raises:
        ValueError: it is not, or the key is too short.
    """
    make_one = 'make one with python -c "import secrets; print(secrets.token_urlsafe(32))"'
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(
            f"{source} has an invalid name before its colon; expected KEY or name:KEY, where a name is a "
            f"letter and at most {SHORTEST - 2} letters, digits, dots, dashes and underscores, and KEY has "
            f"no colon; {make_one}"
        )
    if len(key) < SHORTEST:
        raise ValueError(
            f"{source} is a key of {len(key)} characters; expected at least {SHORTEST}; {make_one}"
        )
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"{source} is a key with a colon or a character that is not printable ASCII; expected KEY or "
            f"name:KEY; {make_one}"
        )


def _entries(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield the optional name and the key of each line that is neither empty nor a comment."""
    for line in map(str.strip, text.splitlines()):
        name, colon, key = line.partition(":")
        if line and not line.startswith("#"):
            yield (name, key) if colon else (None, line)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


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
