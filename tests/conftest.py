"""Fixtures that several modules' tests share."""

import uuid
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fakes import checkpoint

# A busy machine is no failure, and a red run must be red again.
settings.register_profile("tweetelm", deadline=None, derandomize=True)
settings.load_profile("tweetelm")


@pytest.fixture(params=["local", "memory"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "models") if request.param == "local" else f"memory://{uuid.uuid4().hex}/models"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def another(tmp_path: Path) -> Path:
    return checkpoint(tmp_path / "another", weights=b"other weights")
