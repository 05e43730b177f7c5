"""A caller's side of the service, over real HTTP and with nothing but the standard library."""

import json
import shlex
import time
import urllib.error
import urllib.request
from typing import Any


class RefusedError(Exception):
    """The service answered with an error; the message is the service's."""


def get(url: str, *, key: str = "", timeout_s: float = 30.0) -> dict[str, Any]:
    """The JSON at `url`."""
    return _json(urllib.request.Request(url, headers=_authorization(key)), timeout_s)


def post(url: str, body: dict[str, Any], *, key: str = "", timeout_s: float = 60.0) -> dict[str, Any]:
    """The JSON that answers `body`."""
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"} | _authorization(key)
    return _json(urllib.request.Request(url, data=data, headers=headers), timeout_s)


def _authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _json(request: urllib.request.Request, timeout_s: float) -> dict[str, Any]:
    try:
        # A proxy of the environment is for the internet, not for a service on this machine.
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
    """The answer of /ready, once it is good.

    Raises:
        TimeoutError: it was not within `within_s` seconds.
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
    """A line per model, with its label, the probability of that label, and the version that answered."""
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
    """What must be said wherever a result of these models is shown."""
    return [f"Note: {name}: {notice}" for name, about in models.items() for notice in about["notices"]]


def curl(url: str, model: str, *, keyed: bool = False) -> str:
    """The command that asks the same of the service in a shell; a key comes from a variable there."""
    body = json.dumps({"model": model, "input": "what a lovely morning"})
    key = ' -H "Authorization: Bearer $TWEETELM_API_KEY"' if keyed else ""
    return f"curl -s {url}/v1/classify{key} -H 'Content-Type: application/json' -d {shlex.quote(body)}"
