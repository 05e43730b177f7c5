"""A fake instance metadata service of AWS, version 2.

`python -m tests.support.metadata ADDRESS PORT FILE` runs it on a host of the lab. When FILE appears, the
service announces a preemption after the number of seconds in FILE.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Service(ThreadingHTTPServer):
    """`asked` are the paths of requests with a valid token; if `broken`, every response is 500."""

    notice: str | None = None
    token = "the token"
    broken = False
    asked: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def preempt(self, seconds: float) -> float:
        """Announce a preemption in `seconds`; returns its Unix time."""
        moment = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        self.notice = json.dumps({"action": "terminate", "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})
        return moment.timestamp()


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_PUT(self) -> None:
        wanted = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._send(*((500, "") if self.server.broken else (200, self.server.token) if wanted else (400, "")))

    def do_GET(self) -> None:
        if self.server.broken:
            self._send(500, "")
        elif self.headers["X-aws-ec2-metadata-token"] != self.server.token:
            self._send(401, "")
        else:
            self.server.asked += (self.path,)
            notice = self.path == "/latest/meta-data/spot/instance-action" and self.server.notice
            self._send(*((200, notice) if notice else (404, "")))

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""


@contextmanager
def metadata(address: str = "127.0.0.1", port: int = 0) -> Iterator[Service]:
    """Run the service while the block runs."""
    with Service((address, port), _Handler) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield service
        service.shutdown()
        thread.join()


def main() -> None:
    """Serve until the process is killed."""
    address, port, name = sys.argv[1:]
    file = Path(name)
    with metadata(address, int(port)) as service:
        while not file.exists() or not file.read_text().strip():
            time.sleep(0.2)
        service.preempt(float(file.read_text()))
        threading.Event().wait()


if __name__ == "__main__":
    main()
