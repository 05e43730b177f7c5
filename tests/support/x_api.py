"""A real HTTP server that speaks the X API v2: user lookup, timelines, posts by ids; with faults on request.

It keeps the time, the path and the served posts of each request.
"""

import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

TOKEN = "t0ken"
ERRORS = {
    "missing": {"title": "Not Found Error", "detail": "Could not find it"},
    "suspended": {"title": "Forbidden", "detail": "User has been suspended"},
    "protected": {"title": "Authorization Error", "detail": "Sorry, you are not authorized to see it"},
}


def post(number: int, text: str = "", **more: Any) -> dict[str, Any]:
    """A post of the API v2; larger numbers are newer."""
    return {
        "id": str(10**18 + number),
        "text": text or f'post {number}; he said "no"\nand &lt;left&gt; https://t.co/x{number}',
        "created_at": f"2026-03-{1 + number % 28:02}T12:00:00.000Z",
        "lang": "en",
        "edit_history_tweet_ids": [str(10**18 + number)],
        "author_id": "77777",
        **more,
    }


def timeline(count: int, first: int = 1) -> list[dict[str, Any]]:
    """Posts with these numbers, newest first."""
    return [post(number) for number in range(first + count - 1, first - 1, -1)]


@dataclass
class XServer:
    """The state of the server.

    Attributes:
        timelines: posts of each account by screen name in lower case, newest first.
        states: accounts that are missing, suspended or protected.
        forbidden: accounts whose timeline answers 403.
        gone: ids of posts that are deleted ("missing") or "protected".
        faults: fault of the n-th request, from 0: an HTTP status, "malformed", "cut", "empty", "limit".
        limit: requests per `window_s`; more are answered with 429.
        token_uses: requests after which the bearer token is invalid.
        expired: whether all pagination tokens given so far are invalid from now on.
    """

    timelines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    gone: dict[str, str] = field(default_factory=dict)
    faults: dict[int, Any] = field(default_factory=dict)
    limit: int = 10**9
    window_s: float = 2.0
    token_uses: int = 10**9
    generation: int = 0
    url: str = ""
    times: list[float] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)  # times that each post was sent, cut answers too
    users_served: int = 0
    _window: tuple[float, int] = (0.0, 0)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def posts_served(self) -> int:
        """Posts sent, as X would charge for them."""
        return self.served.total()

    def expire_pagination(self) -> None:
        """Make the pagination tokens given so far invalid."""
        self.generation += 1

    def answer(self, target: str, token: str) -> tuple[int, dict[str, str], Any]:
        """Status, headers and content for a request."""
        number = len(self.times)
        self.times.append(time.monotonic())
        self.paths.append(target)
        headers, limited = self._headers()
        if token != f"Bearer {TOKEN}" or number >= self.token_uses:
            return 401, headers, {"title": "Unauthorized", "detail": "Unauthorized", "status": 401}
        fault = self.faults.get(number)
        if limited or fault == 429:
            return 429, headers, {"title": "Too Many Requests", "status": 429}
        if isinstance(fault, int):
            return fault, headers, {"title": f"fault {fault}", "detail": f"a fault {fault}"}
        status, content = self._content(target)
        return status, headers, fault if status == 200 and fault == "empty" else content

    def _headers(self) -> tuple[dict[str, str], bool]:
        """Headers of the rate limit, and whether the request exceeds it. Windows end at whole seconds."""
        now = time.time()
        reset, used = self._window
        if now >= reset:
            reset, used = math.floor(now + self.window_s), 0
        self._window = (reset, used + 1)
        left = max(0, self.limit - used - 1)
        values = {"limit": self.limit, "remaining": left, "reset": int(reset)}
        return {f"x-rate-limit-{key}": str(value) for key, value in values.items()}, used >= self.limit

    def _content(self, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/2/users/by":
            return 200, self._users(query["usernames"].split(","))
        if parts.path == "/2/tweets":
            return 200, self._by_ids(query["ids"].split(","))
        return self._timeline(parts.path.split("/")[3], query)

    def _users(self, names: list[str]) -> Any:
        assert len(names) <= 100
        found: list[Any] = []
        errors: list[Any] = []
        for name in names:
            state = self.states.get(name.lower(), "" if name.lower() in self.timelines else "missing")
            if state in ("missing", "suspended"):
                errors.append({"value": name, "resource_type": "user", **ERRORS[state]})
                continue
            number = str(500 + sorted({*self.timelines, *self.states}).index(name.lower()))
            found.append(
                {
                    "id": number,
                    "username": name.upper() if name == "shouty" else name,
                    "name": "Real Name",
                    "protected": state == "protected",
                }
            )
        self.users_served += len(found)
        return {"data": found, **({"errors": errors} if errors else {})}

    def _timeline(self, user: str, query: dict[str, str]) -> tuple[int, Any]:
        name = sorted({*self.timelines, *self.states})[int(user) - 500]
        size = int(query["max_results"])
        if not 5 <= size <= 100:
            return 400, {"errors": [{"message": f"max_results {size} is not between 5 and 100"}]}
        if name in self.forbidden:
            return 403, {"title": "Forbidden", "detail": "you may not see this"}
        found, token = list(self.timelines[name]), query.get("pagination_token", "")
        below = 10**19
        if token:
            generation, _, last = token.partition("-")
            if int(generation) != self.generation:
                detail = f"The `pagination_token` query parameter value [{token}] is not valid"
                return 400, {"errors": [{"message": detail}], "title": "Invalid Request"}
            below = int(last)
        below = min(below, int(query.get("until_id", below)))
        start, end = query.get("start_time", ""), query.get("end_time", "9999")
        found = [each for each in found if int(each["id"]) < below and start <= each["created_at"] < end]
        page = found[:size]
        self.served.update(each["id"] for each in page)
        meta: dict[str, Any] = {"result_count": len(page)}
        if len(found) > size:
            meta["next_token"] = f"{self.generation}-{page[-1]['id']}"
        return 200, {"data": page, "meta": meta} if page else {"meta": meta}

    def _by_ids(self, ids: list[str]) -> Any:
        assert len(ids) <= 100
        known = {each["id"]: each for posts in self.timelines.values() for each in posts}
        there = [known[each] for each in ids if each in known and each not in self.gone]
        absent = {
            each: self.gone.get(each, "missing") for each in ids if each not in known or each in self.gone
        }
        self.served.update(each["id"] for each in there)
        errors = [
            {"resource_id": each, "value": each, "resource_type": "tweet", **ERRORS[state]}
            for each, state in absent.items()
        ]
        return ({"data": there} if there else {}) | ({"errors": errors} if errors else {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ClassVar[XServer]

    def do_GET(self) -> None:  # the name of http.server
        with self.state.lock:
            fault = self.state.faults.get(len(self.state.times))
            status, headers, content = self.state.answer(self.path, self.headers.get("Authorization", ""))
            self.state.statuses[status] += 1
        body = b"{}" if content == "empty" else json.dumps(content).encode()
        if status == 200 and fault == "malformed":
            body = body[: len(body) // 2]
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = status == 200 and fault == "cut"
        try:
            self.wfile.write(body[: len(body) // 2] if cut else body)
        except ConnectionError:  # the client was killed
            cut = True
        self.close_connection = self.close_connection or cut

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def x_server(**state: Any) -> Iterator[XServer]:
    """Serve on a free port of this machine."""
    served = XServer(**state)
    handler = type("Handler", (_Handler,), {"state": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
