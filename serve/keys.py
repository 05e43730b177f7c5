"""API keys: who may ask. Several at once, compared in constant time, changed without a restart."""

import hashlib
import hmac
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLE = "TWEETELM_API_KEYS"
FILE_VARIABLE = "TWEETELM_API_KEYS_FILE"
SHORTEST = 16
LOOK_AGAIN_S = 1.0


class Keys:
    """The keys of the environment: `TWEETELM_API_KEYS=KEY,KEY`, or a file of one a line, which is read again
    when it changes. `name:KEY` gives a key a name in the log and in its rate limit.

    Without either variable every caller is let in.
    """

    def __init__(self, listed: str | None = None, file: Path | None = None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._looked = -LOOK_AGAIN_S
        self._digests = _parse(listed.replace(",", "\n"), f"${VARIABLE}") if listed else {}
        self.needed = bool(listed) or file is not None
        self._fixed = dict(self._digests)
        self._refresh()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Keys":
        """The keys that these variables name.

        Raises:
            FileNotFoundError: the file is not there.
            ValueError: a key is too short, or there is none.
        """
        file = environment.get(FILE_VARIABLE)
        return cls(environment.get(VARIABLE), Path(file) if file else None)

    @staticmethod
    def first(environment: Mapping[str, str]) -> str:
        """A key that works, for asking one's own service; "" where none is needed."""
        file = environment.get(FILE_VARIABLE)
        listed = environment.get(VARIABLE, "").replace(",", "\n")
        return next((key for _, key in _entries(listed or (Path(file).read_text() if file else ""))), "")

    def name_of(self, authorization: str) -> str | None:
        """The name of the key in a header `Authorization: Bearer KEY`; None if it is not one of ours."""
        self._refresh()
        scheme, _, key = authorization.partition(" ")
        digest = _digest(key.strip() if scheme.lower() == "bearer" else "")
        found = None
        for known, name in self._digests.items():  # to the end, however early it matches
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def _refresh(self) -> None:
        if self._file is None or time.monotonic() - self._looked < LOOK_AGAIN_S:
            return
        self._looked = time.monotonic()
        try:
            state = os.stat(self._file)
            if (state.st_mtime_ns, state.st_size) == self._seen:
                return
            self._digests = self._fixed | _parse(self._file.read_text(encoding="utf-8"), str(self._file))
        except (OSError, ValueError):
            if self._seen is None:
                raise
            return  # a file that is being replaced, or was spoilt: the last good keys go on
        self._seen = (state.st_mtime_ns, state.st_size)


def _parse(text: str, source: str) -> dict[bytes, str]:
    """Digests of the keys, with the names under which they are logged."""
    found: dict[bytes, str] = {}
    for name, key in _entries(text):
        if len(key) < SHORTEST:
            raise ValueError(
                f"{source} holds a key of {len(key)} characters; at least {SHORTEST} are expected: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))" makes a good one'
            )
        digest = _digest(key)
        found[digest] = name or hashlib.sha256(digest).hexdigest()[:8]
    if not found:
        raise ValueError(
            f"{source} holds no key; write at least one, or unset the variable to let everybody in"
        )
    return found


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Name, which may be "", and key of each line that is neither empty nor a remark."""
    for line in map(str.strip, text.splitlines()):
        name, _, key = line.rpartition(":")
        if key and not line.startswith("#"):
            yield name, key


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
