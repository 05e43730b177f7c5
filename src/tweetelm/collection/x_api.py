"""Requests to the X API v2: paced, retried, and each answer stored before the next request."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import httpx2

from tweetelm.collection.ledger import Ledger
from tweetelm.files.names import printable

X_URL = "https://api.x.com"
WINDOW_S = 15 * 60
TRIES = 6  # of a request that fails; the pauses between them add up to 31 s
LIMITED_TRIES = 20  # windows that may be waited for in a row
TIMEOUT_S = 60.0
RESUMES = "type the same command again to continue"
KEPT = f"everything read so far is kept; {RESUMES}"
Say = Callable[[str], None]
Parse = Callable[[dict[str, Any]], dict[str, Any]]


class MalformedError(ValueError):
    """An answer has status 200 and unusable content."""


class RefusedError(ValueError):
    """The API refused a request for good: status 400, 403, 404 or another one of 4xx."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the X API refused the request ({status}: {printable(detail)[:300]}); {KEPT}")
        self.status, self.detail = status, detail


class _Failure(NamedTuple):
    """A failed attempt. `lost`: X may have counted its reads. `until`: when to try again, if X said so."""

    reason: str
    lost: bool
    until: float | None = None


class XApi:
    """A client with its own pace; a context manager, which closes the connections.

    Args:
        token: bearer token.
        ledger: reserves and counts all reads.
        url: base URL.
        per_window: most requests in 15 minutes; they are spaced evenly.
        say: gets a line before a wait.
        backoff_s: first pause after a failure; it doubles with each.
    """

    def __init__(
        self,
        token: str,
        ledger: Ledger,
        *,
        say: Say,
        url: str = X_URL,
        per_window: int = 900,
        backoff_s: float = 1.0,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "tweetelm"}
        self.client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)
        self.ledger, self.say, self.backoff_s = ledger, say, backoff_s
        self.spacing_s = WINDOW_S / per_window
        # A killed command may have sent its last request just now.
        self._next = time.monotonic() + self.spacing_s if ledger.started_before else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(
        self,
        path: str,
        params: Mapping[str, str],
        parse: Parse,
        *,
        answer: str,
        posts: int = 0,
        users: int = 0,
    ) -> dict[str, Any]:
        """Make a request, parse the answer with `parse`, store the result in the file `answer`, return it.

        Args:
            path: path of the API.
            params: query.
            parse: makes a document with `posts_read` and `users_read` of the JSON object.
            answer: file in the folder.
            posts: most posts that the answer can have.
            users: most users that the answer can have.

        Raises:
            CeilingError: the reads could exceed a ceiling.
            RefusedError: the API refused the request.
            ValueError: the token is invalid, or there are no credits.
            ConnectionError: the API failed in all tries.
        """
        failed = limited = 0
        while True:
            self._wait()
            self.ledger.reserve(answer, posts=posts, users=users)
            done = self._attempt(path, params, parse)
            if not isinstance(done, _Failure):
                self.ledger.folder.write(answer, done)
                self.ledger.settle(done)
                return done
            self.ledger.settle(None if done.lost else {})
            limited, failed = (limited + 1, failed) if done.until else (0, failed + 1)
            if failed == TRIES or limited == LIMITED_TRIES:
                self.ledger.write()
                raise ConnectionError(f"the X API {done.reason}, {failed or limited} times in a row; {KEPT}")
            self._back_off(done, failed)

    def _attempt(self, path: str, params: Mapping[str, str], parse: Parse) -> dict[str, Any] | _Failure:
        try:
            response = self.client.get(path, params=dict(params))
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            return _Failure(f"cannot be reached at {self.client.base_url} ({error})", lost=False)
        except httpx2.RequestError as error:
            return _Failure(f"cut the connection ({error or type(error).__name__})", lost=True)
        finally:
            self._next = time.monotonic() + self.spacing_s
        return self._read(response, parse)

    def _read(self, response: httpx2.Response, parse: Parse) -> dict[str, Any] | _Failure:
        reset = _reset(response)
        limited = response.status_code == 429
        if reset is not None and (limited or response.headers.get("x-rate-limit-remaining") == "0"):
            self.ledger.not_before = reset
            self.ledger.write()  # holds for the next command too, if this one is killed
        if limited and reset is not None:
            return _Failure("limits the rate (429)", lost=False, until=reset)
        if response.status_code in (408, 429) or response.status_code >= 500:
            return _Failure(f"answered {response.status_code} ({_detail(response)})", lost=False)
        if response.status_code != 200:
            self.ledger.settle({})
            self.ledger.write()
            raise _refusal(response)
        try:
            return parse(_json(response))
        except MalformedError as error:
            return _Failure(f"gave a malformed answer ({error})", lost=True)

    def _back_off(self, failure: _Failure, failed: int) -> None:
        if failure.until is None:
            pause = self.backoff_s * 2 ** (failed - 1)
            self.say(f"the X API {failure.reason}: trying again in {pause:.0f} s, {failed + 1} of {TRIES}")
            time.sleep(pause)

    def _wait(self) -> None:
        """Wait for the pace, and until X allows a request."""
        limit = self.ledger.not_before - time.time()
        if limit > 0:
            end = datetime.fromtimestamp(self.ledger.not_before, UTC)
            self.say(f"the X API limits the rate: waiting until {end:%H:%M:%S} UTC ({limit:.0f} s)")
            time.sleep(limit)
        time.sleep(max(0.0, self._next - time.monotonic()))


def check_url(url: str) -> None:
    """Check the base URL of the API: https, or http on this machine, for the token must not be readable.

    Raises:
        ValueError: it is another one.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ValueError(f"--api-url is {url!r} ({error}); expected {X_URL}") from error
    local = parsed.host in ("localhost", "127.0.0.1", "::1")
    if not parsed.host or not (parsed.scheme == "https" or (parsed.scheme == "http" and local)):
        raise ValueError(f"--api-url is {url!r}; expected https, or http on this machine, as {X_URL}")


def _reset(response: httpx2.Response) -> float | None:
    """The Unix time at which the window of the rate limit ends, at least 1 s and at most a window ahead."""
    value = response.headers.get("x-rate-limit-reset", "")
    if not value.isdigit():
        return None
    now = time.time()
    return min(max(float(value), now + 1.0), now + WINDOW_S + 5.0)


def _json(response: httpx2.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise MalformedError("not a JSON object")
    return found


def objects(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects in an answer; [] if absent. Raises MalformedError if it is something else."""
    value = found.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise MalformedError(f"`{key}` is no list of objects")
    return value


def _refusal(response: httpx2.Response) -> ValueError:
    detail = _detail(response)
    if response.status_code == 401:
        return ValueError(
            "the X API refused the bearer token (401); expected a valid one: set X_BEARER_TOKEN, or write it "
            f"to a file and name it with --token-file; {KEPT}"
        )
    if response.status_code == 402:
        return ValueError(f"the X API asks for credits (402: {printable(detail)}); buy some at X; {KEPT}")
    return RefusedError(response.status_code, detail)


def _detail(response: httpx2.Response) -> str:
    """What the API says about a refusal."""
    try:
        found = _json(response)
    except MalformedError:
        return response.reason_phrase
    errors = found.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    said = first.get("message") or found.get("detail") or first.get("detail") or found.get("title")
    return printable(str(said or response.reason_phrase))[:300]
