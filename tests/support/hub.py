"""A fake model hub on 127.0.0.1 with the parts of the hub's HTTP protocol that its client uses.

Repositories have commits and branches. Weights are served like the hub's large files: a redirect to other
storage, which supports ranges. All requests are recorded.
"""

import hashlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")
_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/(?P<what>resolve|storage)/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass
class Repository:
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)


class Hub:
    """The hub's state, and its server."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[tuple[str, str]] = []
        self.cut_next_download_after: int | None = None
        self._server = self._listen(0)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def commit(self, repo: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Set `branch` of `repo` to a new commit with these files, and return the commit's hash."""
        content = json.dumps([repo, [[name, _sha256(data)] for name, data in sorted(files.items())]])
        sha = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
        repository = self.repositories.setdefault(repo, Repository())
        repository.commits[sha] = dict(files)
        repository.branches[branch] = sha
        return sha

    def asked(self, text: str) -> list[str]:
        """Return the requests whose path contains `text`, as `GET /path`."""
        return [f"{method} {path}" for method, path in self.requests if text in path]

    @contextmanager
    def down(self) -> Iterator[None]:
        """Stop the server."""
        self.close()
        try:
            yield
        finally:
            self._server = self._listen(self.port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _listen(self, port: int) -> "_Server":
        server = _Server(("127.0.0.1", port), type("Bound", (_Handler,), {"hub": self}))
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server


class _Server(ThreadingHTTPServer):
    """A server that also closes open connections when it stops."""

    def __init__(self, *arguments: Any) -> None:
        self.connections: list[socket.socket] = []
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)

    def server_close(self) -> None:
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        match = _API.fullmatch(path) or _FILE.fullmatch(path)
        if match is None:
            return self._refuse(404, "NotFound", "page not found")
        repository = self.hub.repositories.get(match["repo"])
        if repository is None:  # as on the hub, private and missing repositories look the same
            return self._refuse(401, "RepoNotFound", "Repository not found")
        revision = match["revision"] or "main"
        sha = repository.branches.get(revision, revision)
        files = repository.commits.get(sha)
        if files is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if match.re is _API:
            return self._describe(match["what"] or "revision", match["repo"], sha, files)
        data = files.get(match["file"])
        if data is None:
            return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": sha})
        if match["what"] == "resolve":
            return self._resolve(match["repo"], sha, match["file"], data)
        return self._content(data, {"ETag": f'"{_sha256(data)}"'})

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...

    def _describe(self, what: str, repo: str, sha: str, files: dict[str, bytes]) -> None:
        siblings = [{"rfilename": name} for name in files]
        info = {"_id": sha[:24], "id": repo, "modelId": repo, "sha": sha, "private": False}
        tree = [_entry(name, data) for name, data in files.items()]
        answer = {**info, "siblings": siblings, "tags": [], "downloads": 0} if what == "revision" else tree
        self._content(json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repo: str, sha: str, name: str, data: bytes) -> None:
        headers = {"X-Repo-Commit": sha, "ETag": f'"{_git_hash(data)}"', "Accept-Ranges": "bytes"}
        if not name.endswith(LARGE):
            return self._content(data, headers)
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{_sha256(data)}"'}
        headers["Location"] = f"http://localhost:{self.hub.port}/{repo}/storage/{sha}/{name}"
        return self._send(302, b"", headers)

    def _content(self, data: bytes, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return self._send(200, data, headers)
        start, end = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return self._send(206, data[start : end + 1], headers)

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message, **(headers or {})}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.cut_next_download_after if "/storage/" in self.path else None
        self.wfile.write(body[:cut])
        if cut is not None:
            self.hub.cut_next_download_after = None
            self.close_connection = True


def _entry(name: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": _git_hash(data)}
    if name.endswith(LARGE):
        entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
    return entry


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
