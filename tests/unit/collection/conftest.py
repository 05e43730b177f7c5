"""A server that speaks the X API."""

from collections.abc import Iterator

import pytest

from tests.support.x_api import XServer, timeline, x_server


@pytest.fixture
def server() -> Iterator[XServer]:
    with x_server(timelines={"ada": timeline(250), "bob": timeline(30, 1001)}) as served:
        yield served
