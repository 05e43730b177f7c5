"""Fixtures that several modules' tests share."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.fakes import checkpoint
from tests.support.s3 import BUCKET, object_storage

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.support.aws_account import Record

# A busy machine is no failure, and a red run must be red again.
settings.register_profile("tweetelm", deadline=None, derandomize=True)
settings.load_profile("tweetelm")


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """Environment variables with which clients find a local stand-in for S3."""
    with object_storage() as environment:
        yield environment


@pytest.fixture
def remote(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty registry in object storage."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}/models"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> "Record":
    """What a cluster on AWS did from `ray up` to `ray down`."""
    from tests.support.aws_cluster import run  # here, for it takes a moment that few tests need

    return run(tmp_path_factory.mktemp("cluster"))


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium, driven by Playwright."""
    from tests.support.served_page import chromium  # here, for it takes a moment that few tests need

    with chromium() as browser:
        yield browser


@pytest.fixture(params=["folder", "objects"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Folder or URL of an empty registry."""
    if request.param == "folder":
        return str(tmp_path / "models")
    url: str = request.getfixturevalue("remote")
    return url


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def another(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "another", weights=b"other weights")
