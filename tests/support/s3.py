"""Object storage for tests: moto's S3 over HTTP on 127.0.0.1, in a separate process.

moto supports If-Match and If-None-Match, but checks and writes in two steps. Writes are therefore serialized,
so that conditional writes are atomic as on S3.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from tests.support.places import ROOT

BUCKET = "bucket"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@contextmanager
def object_storage() -> Iterator[dict[str, str]]:
    """Start it with one empty bucket; yields the environment variables for clients."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.s3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **CREDENTIALS, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        text=True,
    )
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        finally:
            process.kill()


class SerializedWrites:
    """WSGI middleware that runs one write request at a time."""

    def __init__(self, application: Any) -> None:
        self.application, self.lock = application, Lock()

    def __call__(self, environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environment["REQUEST_METHOD"] in ("GET", "HEAD"):
            return list(self.application(environment, start_response))
        with self.lock:
            return list(self.application(environment, start_response))


def main() -> None:
    """Serve until killed; the port is the first line of the output."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from moto.s3.models import s3_backends
    from werkzeug.serving import make_server

    s3_backends["123456789012"]["aws"].create_bucket(BUCKET, "us-east-1")
    application = SerializedWrites(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
