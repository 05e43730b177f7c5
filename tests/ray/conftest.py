"""One Ray head for all tests of this folder.

There is no `__init__.py` here and must never be one: with it, this folder could be imported as `ray`.
"""

from collections.abc import Iterator

import pytest

from tests.support.places import ROOT
from tests.support.ray_head import Cluster, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Start a head with two CPUs, a token and its own ports on first use; stop it at the end."""
    with running(cpus=2) as head:
        yield head


@pytest.fixture(scope="module")
def driver(cluster: Cluster) -> Iterator[Cluster]:
    """Connect this process to the head as a driver; workers import from the checkout."""
    import ray
    from ray._private.authentication_test_utils import reset_auth_token_state

    forwarded = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "RAY_ADDRESS": cluster.address}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in {**cluster.env, "RAY_ADDRESS": cluster.address}.items():
            if key.startswith("RAY_"):
                patch.setenv(key, value)
        reset_auth_token_state()  # Ray reads the mode and token once per process, at import
        ray.init(address=cluster.address, log_to_driver=False, runtime_env={"env_vars": forwarded})
        yield cluster
        ray.shutdown()
    reset_auth_token_state()
