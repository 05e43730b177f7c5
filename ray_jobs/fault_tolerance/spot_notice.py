"""The spot notice, as the metadata service of an AWS instance gives it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

import json
import time
import urllib.error
import urllib.request
from datetime import datetime
from http.client import HTTPException

_TIMEOUT_S = 2.0
_TOKEN_S = 21600
_UNDATED_S = 120.0  # AWS gives two minutes


class Metadata:
    """The instance metadata service, version 2: a token first, then questions with it."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._token: str | None = None
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._trouble = ""

    def goes_at(self) -> float | None:
        """When this machine will be taken back (Unix time, seconds); None if nothing is known of that.

        Trouble is told once and waited out: a machine without this service, or with a slow one, goes on.
        """
        try:
            found, trouble = self._ask(), ""
        except (OSError, HTTPException, ValueError) as error:
            found, trouble = None, f"{type(error).__name__}: {error}"
            self._token = None
        if trouble and not self._trouble:
            print(f"{self._address} does not say whether this machine goes ({trouble})", flush=True)
        self._trouble = trouble
        return found

    def _ask(self) -> float | None:
        if self._token is None:
            self._token = self._request(
                "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_S)}
            )
        try:
            headers = {"X-aws-ec2-metadata-token": self._token}
            notice = self._request("GET", "/latest/meta-data/spot/instance-action", headers)
        except urllib.error.HTTPError as error:
            if error.code == 404:  # nobody wants the machine
                return None
            raise
        return _moment(notice)

    def _request(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._address + path, headers=headers, method=method)
        with self._open(request, timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode())


def _moment(notice: str) -> float:
    """That of `{"action": "terminate", "time": "2026-11-24T08:22:00Z"}`. A notice that cannot be read is one
    too."""
    try:
        return datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return time.time() + _UNDATED_S
