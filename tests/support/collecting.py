"""Runs `ray_jobs.collect` in this process against a server of `tests.support.x_api`."""

import csv
import json
from pathlib import Path
from typing import Any

from ray_jobs.collect import Arguments, run
from tests.support.x_api import TOKEN, XServer

ENVIRONMENT = {"X_BEARER_TOKEN": TOKEN}
FAST = 90_000  # requests in 15 minutes: one each 10 ms


def collect(server: XServer, out: Path, *accounts: str, **flags: Any) -> int:
    """The exit status of the command."""
    values = {"requests_per_15min": FAST, "api_url": server.url, **flags}
    return run(Arguments(out=str(out), accounts=accounts, **values), ENVIRONMENT)


def rows(out: Path) -> list[dict[str, str]]:
    """The rows of a collection."""
    with (out / "rows.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=";", strict=True))


def ids(out: Path) -> list[int]:
    """The numbers of the posts of a collection."""
    return [int(row["id"]) - 10**18 for row in rows(out)]


def manifest(out: Path) -> dict[str, Any]:
    """The manifest of a collection."""
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found
