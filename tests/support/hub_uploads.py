"""A fake model hub on 127.0.0.1 for uploads, with the parts of the HTTP protocol that its client uses.

It stores the files of each repository by name, and the commits. Large files are uploaded as by the hub's
client without hf_xet: a batch request, a PUT, a verification.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

LARGE = ".safetensors"
TOKEN = "hf_test"


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


class Uploads:
    """The hub's state, and its server."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def commit(self, repo: str, lines: list[dict[str, Any]]) -> None:
        """Apply the lines of a commit request."""
        repository = self.repositories[repo]
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                repository.commits.append(value["summary"])
            elif line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del repository.files[value["path"]]
            else:
                raise ValueError(f"unknown key of a commit line: {line['key']}")


class _Handler(BaseHTTPRequestHandler):
    hub: Uploads
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        body, path = self._body(), urlsplit(self.path).path
        if path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer({"error": "Invalid credentials"}, 401)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/api/models/(.+/.+)/preupload/main", path):
            files = [each["path"] for each in json.loads(body)["files"]]
            modes = [{"path": each, "uploadMode": _mode(each), "shouldIgnore": False} for each in files]
            return self._answer({"files": modes})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._answer(
                {"transfer": "basic", "objects": [self._slot(o) for o in json.loads(body)["objects"]]}
            )
        if path == "/verify":
            known = json.loads(body)["oid"] in self.hub.objects
            return self._answer({}, 200 if known else 404)
        if found := re.fullmatch(r"/api/models/(.+/.+)/commit/main", path):
            self.hub.commit(found[1], [json.loads(line) for line in body.splitlines()])
            return self._answer({"commitUrl": f"{self.hub.url}/{found[1]}/commit/1", "commitOid": "1" * 40})
        return self._answer({"error": path}, 404)

    def do_PUT(self) -> None:
        data = self._body()
        self.hub.objects[hashlib.sha256(data).hexdigest()] = data
        self._answer({})

    def do_GET(self) -> None:
        found = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)(/tree/main|/revision/main)?", urlsplit(self.path).path
        )
        repository = self.hub.repositories.get(found[1]) if found else None
        if found is None or repository is None:
            return self._answer({"error": self.path}, 404)
        if found[2] == "/tree/main":
            files = repository.files.items()
            return self._answer([{"type": "file", "path": n, "size": len(d), "oid": "0"} for n, d in files])
        return self._answer({"id": found[1], "sha": "1" * 40, "private": repository.private, "siblings": []})

    def _create(self, wanted: dict[str, Any]) -> None:
        repo = f"{wanted['organization']}/{wanted['name']}"
        address = {"url": f"{self.hub.url}/{repo}"}
        if repo in self.hub.repositories:
            return self._answer(address, 409)
        private = wanted.get("private", False) or wanted.get("visibility") == "private"
        self.hub.repositories[repo] = Repository(private=private)
        return self._answer(address)

    def _slot(self, wanted: dict[str, Any]) -> dict[str, Any]:
        actions = {
            "upload": {"href": f"{self.hub.url}/storage"},
            "verify": {"href": f"{self.hub.url}/verify"},
        }
        return {"oid": wanted["oid"], "size": wanted["size"], "actions": actions}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _mode(path: str) -> str:
    return "lfs" if path.endswith(LARGE) else "regular"
