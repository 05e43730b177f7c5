"""An HTTP client for the service, using only the standard library."""

import json
import shlex
import time
import urllib.error
import urllib.request
from typing import Any


class RefusedError(Exception):
    """The service answered with an HTTP error; the message is the one in the response."""


def get(url: str, *, key: str = "", timeout_s: float = 30.0) -> dict[str, Any]:
    """Return the JSON object at `url`.

    Raises:
        RefusedError: the service answered with an HTTP error.
        OSError: the service cannot be reached within `timeout_s` seconds.
    """
    return _json(urllib.request.Request(url, headers=_authorization(key)), timeout_s)


def post(url: str, body: dict[str, Any], *, key: str = "", timeout_s: float = 60.0) -> dict[str, Any]:
    """Send `body` as JSON and return the JSON object of the response.

    Raises:
        RefusedError: the service answered with an HTTP error.
        OSError: the service cannot be reached within `timeout_s` seconds.
    """
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"} | _authorization(key)
    return _json(urllib.request.Request(url, data=data, headers=headers), timeout_s)


def _authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _json(request: urllib.request.Request, timeout_s: float) -> dict[str, Any]:
    try:
        # Ignore HTTP_PROXY: the service may run on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout_s) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        with error:
            raise RefusedError(_message(error.read(), error.code)) from None


def _message(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}"


def wait_until_ready(url: str, *, within_s: float) -> dict[str, Any]:
    """Poll /ready until it answers with status 200, and return its JSON.

    Raises:
        TimeoutError: the service is not ready after `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        try:
            return get(f"{url}/ready")
        except (RefusedError, OSError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url}/ready is not ready after {within_s:g} s: {error}") from error
        time.sleep(0.1)


def verdicts(url: str, models: dict[str, Any], text: str, *, key: str = "") -> list[str]:
    """Classify `text`; returns it and a line per model: name, label, probability and version, or the
    error."""
    lines = [f"“{text}”"]
    for name, about in models.items():
        try:
            found = post(f"{url}/v1/classify", {"model": name, "input": text}, key=key)["data"][0]
        except RefusedError as error:
            lines.append(f"  {name:<9} {error}")
            continue
        probability = found["probs"][about["labels"].index(found["label"])]
        lines.append(f"  {name:<9} {found['label']:<9} {probability:.3f}  {found['version']}")
    return lines


def notices(models: dict[str, Any]) -> list[str]:
    """Return the notices that must accompany any result of these models, one line each."""
    return [f"Note: {name}: {notice}" for name, about in models.items() for notice in about["notices"]]


def curl(url: str, model: str, *, keyed: bool = False) -> str:
    """Return a curl command for `model`; with `keyed`, it reads the API key from $TWEETELM_API_KEY."""
    body = json.dumps({"model": model, "input": "what a lovely morning"})
    key = ' -H "Authorization: Bearer $TWEETELM_API_KEY"' if keyed else ""
    return f"curl -s {url}/v1/classify{key} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
