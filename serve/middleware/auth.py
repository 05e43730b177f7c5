"""API keys: who may ask. Several at once, compared in constant time, changed without a restart."""

import hashlib
import hmac
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLE = "TWEETELM_API_KEYS"
FILE_VARIABLE = "TWEETELM_API_KEYS_FILE"
SHORTEST = 16
LOOK_AGAIN_S = 1.0
# Shorter than any key, so that no part of a key can be taken for a name.
_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9._-]{{0,{SHORTEST - 2}}}")
_KEY = re.compile(r"[!-9;-~]+")  # printable ASCII without a colon
logger = logging.getLogger("tweetelm.serve")


class Keys:
    """The keys of the environment: `TWEETELM_API_KEYS=KEY,KEY`, or a file of one a line, which is read again
    when it changes. `name:KEY` gives a key a name in the log and in its rate limit.

    Without either variable every caller is let in. A file that disappears or cannot be read any more lets
    nobody in with its keys until it is good again.

    Attributes:
        needed: whether callers need a key.
        fault: why the file's keys are refused; "" while they are not.
    """

    def __init__(self, listed: str | None = None, file: Path | None = None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._looked = -LOOK_AGAIN_S
        self._fixed = _parse(listed.replace(",", "\n"), f"${VARIABLE}") if listed else {}
        self._digests = dict(self._fixed)
        self.needed = bool(listed) or file is not None
        self.fault = ""
        if file is not None:
            self._looked = time.monotonic()
            self._read(file)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Keys":
        """The keys that these variables name.

        Raises:
            FileNotFoundError: the file is not there.
            ValueError: a key is too short, there is none, or a variable is set to nothing.
        """
        for variable in (VARIABLE, FILE_VARIABLE):
            if environment.get(variable) == "":  # a secret that did not arrive must not open the door
                raise ValueError(f"${variable} is empty; set it, or unset it to let everybody in")
        file = environment.get(FILE_VARIABLE)
        return cls(environment.get(VARIABLE), Path(file).expanduser() if file else None)

    @staticmethod
    def first(environment: Mapping[str, str]) -> str:
        """A key that works, for asking one's own service; "" where none is needed."""
        file = environment.get(FILE_VARIABLE)
        listed = environment.get(VARIABLE, "").replace(",", "\n")
        return next(
            (key for _, key in _entries(listed or (Path(file).expanduser().read_text() if file else ""))), ""
        )

    def name_of(self, authorization: str) -> str | None:
        """The name of the key in a header `Authorization: Bearer KEY`; None if it is not one of ours."""
        self.refresh()
        scheme, _, key = authorization.partition(" ")
        digest = _digest(key.strip() if scheme.lower() == "bearer" else "")
        found = None
        for known, name in self._digests.items():  # to the end, however early it matches
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def refresh(self) -> None:
        """Look at the file again if the last look is more than a second old."""
        if self._file is None or time.monotonic() - self._looked < LOOK_AGAIN_S:
            return
        self._looked = time.monotonic()
        try:
            self._read(self._file)
            fault = ""
        except (OSError, ValueError) as error:
            self._digests, self._seen = dict(self._fixed), None
            fault = f"{type(error).__name__}: {error}"
        if fault != self.fault:
            logger.error("API keys: %s", fault or f"{self._file} can be read again")
        self.fault = fault

    def _read(self, file: Path) -> None:
        state = os.stat(file)
        if (state.st_mtime_ns, state.st_size) != self._seen:
            self._digests = self._fixed | _parse(file.read_text(encoding="utf-8"), str(file))
            self._seen = (state.st_mtime_ns, state.st_size)


def _parse(text: str, source: str) -> dict[bytes, str]:
    """Digests of the keys, with the names under which they are logged.

    Raises:
        ValueError: an entry is no key and no `name:KEY`, a key is too short, or there is none.
    """
    found: dict[bytes, str] = {}
    for place, (name, key) in enumerate(_entries(text), 1):
        _check(name, key, f"entry {place} of {source}")
        digest = _digest(key)
        found[digest] = name or hashlib.sha256(digest).hexdigest()[:8]
    if not found:
        raise ValueError(
            f"{source} holds no key; write at least one, or unset the variable to let everybody in"
        )
    return found


def _check(name: str | None, key: str, source: str) -> None:
    """See that an entry is `KEY` or `name:KEY`; its text is in no message."""
    good = 'python -c "import secrets; print(secrets.token_urlsafe(32))" makes a good one'
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(
            f"{source} has a colon that no name of a key stands before: a name is a letter and at most "
            f"{SHORTEST - 2} letters, digits, dots, dashes and underscores, and a key has no colon. Write "
            f"KEY or name:KEY; {good}"
        )
    if len(key) < SHORTEST:
        raise ValueError(
            f"{source} is a key of {len(key)} characters; at least {SHORTEST} are expected: {good}"
        )
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"{source} is a key with a character that is no printable ASCII or is a colon; expected KEY or "
            f"name:KEY: {good}"
        )


def _entries(text: str) -> Iterator[tuple[str | None, str]]:
    """Name, if there is one, and key of each line that is neither empty nor a remark."""
    for line in map(str.strip, text.splitlines()):
        name, colon, key = line.partition(":")
        if line and not line.startswith("#"):
            yield (name, key) if colon else (None, line)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
