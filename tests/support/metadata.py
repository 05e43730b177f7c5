"""A stand-in for the metadata service of an AWS instance, version 2.

`python -m tests.support.metadata ADDRESS PORT FILE` runs it on a host of the lab:
the machine is taken back as many
seconds after FILE appears as that says.
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
    """`asked` are the paths of the questions that came with the token; `broken` answers 500 to all."""

    notice: str | None = None
    token = "the token"
    broken = False
    asked: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take_back(self, seconds: float) -> float:
        """Announce it; the moment (Unix time) that the notice names."""
        moment = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
        self.notice = json.dumps({"action": "terminate", "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})
        return moment.timestamp()


class _Answers(BaseHTTPRequestHandler):
    server: Service

    def do_PUT(self) -> None:
        wanted = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(*((500, "") if self.server.broken else (200, self.server.token) if wanted else (400, "")))

    def do_GET(self) -> None:
        if self.server.broken:
            self._say(500, "")
        elif self.headers["X-aws-ec2-metadata-token"] != self.server.token:
            self._say(401, "")
        else:
            self.server.asked += (self.path,)
            here = self.path == "/latest/meta-data/spot/instance-action" and self.server.notice
            self._say(*((200, here) if here else (404, "")))

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""


@contextmanager
def metadata(address: str = "127.0.0.1", port: int = 0) -> Iterator[Service]:
    """Run the service while the block runs."""
    with Service((address, port), _Answers) as service:
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
        service.take_back(float(file.read_text()))
        threading.Event().wait()


if __name__ == "__main__":
    main()
