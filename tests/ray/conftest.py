"""One Ray head for all tests of this folder.

There is no `__init__.py` here and must never be one: with it, this folder could be imported as `ray`.
"""

from collections.abc import Iterator

import pytest

from tests.ray.head import Cluster, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A head with two CPUs, a token and ports of its own; started on first use, stopped at the end."""
    with running(cpus=2) as head:
        yield head
