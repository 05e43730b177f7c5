"""Reads the spot interruption notice from the metadata service of an AWS instance.

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
    """Client of the instance metadata service, version 2, which needs a session token."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._token: str | None = None
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._error = ""

    def goes_at(self) -> float | None:
        """Return when this machine will be reclaimed (Unix seconds); None without a notice.

        Connection errors are logged once and ignored, so that machines without this service keep running.
        """
        try:
            found, fault = self._ask(), ""
        except (OSError, HTTPException, ValueError) as error:
            found, fault = None, f"{type(error).__name__}: {error}"
            self._token = None
        if fault and not self._error:
            print(f"{self._address} does not answer; no spot notice is available ({fault})", flush=True)
        self._error = fault
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
            if error.code == 404:  # no notice
                return None
            raise
        return _moment(notice)

    def _request(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._address + path, headers=headers, method=method)
        with self._open(request, timeout=_TIMEOUT_S) as answer:
            return str(answer.read().decode())


def _moment(notice: str) -> float:
    """Return the time of a notice such as `{"action": "terminate", "time": "2026-11-24T08:22:00Z"}`.

    An unreadable notice counts as one that expires in 120 s.
    """
    try:
        return datetime.fromisoformat(json.loads(notice)["time"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return time.time() + _UNDATED_S
