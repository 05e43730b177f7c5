"""Ray's own `ray up`, autoscaling and `ray down` with cluster.yaml, in a fake AWS account.

`python -m tests.support.aws_cluster` prints the requests to AWS.
"""

import contextlib
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import yaml

from tests.support.aws_account import Call, Record, account


@contextlib.contextmanager
def recording(record: Record, by: str) -> Iterator[None]:
    """Record every request and the output of Ray."""

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        record.calls.append(Call(by, model.name, dict(params)))

    from ray.autoscaler._private.aws.utils import resource_cache

    resource_cache.cache_clear()  # existing clients have no listener
    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION is not None
    boto3.DEFAULT_SESSION.events.register("provide-client-params.*.*", note)
    with (
        open(record.folder / "output", "a") as output,  # a real file, because Ray passes it to ssh
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
        warnings.catch_warnings(action="ignore", category=ResourceWarning),  # Ray leaves its cache open
    ):
        yield
    boto3.setup_default_session()  # without the listener


def up(record: Record) -> None:
    """Run `ray up` as the user."""
    from ray.autoscaler._private.commands import create_or_update_cluster

    with recording(record, "person"):
        create_or_update_cluster(
            str(record.folder / "cluster.yaml"),
            override_min_workers=None,
            override_max_workers=None,
            no_restart=False,
            restart_only=False,
            yes=True,
            no_config_cache=True,
            redirect_command_output=False,
        )


def down(record: Record) -> None:
    """Run `ray down`."""
    from ray.autoscaler._private.commands import teardown_cluster

    with recording(record, "person"):
        teardown_cluster(str(record.folder / "cluster.yaml"), True, False, None, False)


def scale(record: Record) -> None:
    """Run the head's autoscaler with its config from `ray up`: launch and terminate one worker per type."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
    from ray.autoscaler.v2.instance_manager.config import FileConfigReader
    from ray.autoscaler.v2.instance_manager.node_provider import NodeProviderAdapter

    with recording(record, "head"):
        reader = FileConfigReader(str(record.folder / "ray_bootstrap_config.yaml"))
        config = reader.get_cached_autoscaling_config()
        provider = AWSNodeProvider(config.get_provider_config(), config.get_config("cluster_name"))
        adapter = NodeProviderAdapter(provider, reader)
        types = [name for name in config.get_config("available_node_types") if name != "head"]
        adapter.launch(shape=dict.fromkeys(types, 1), request_id="request")
        workers = _wait(adapter, 1 + len(types))
        provider.set_node_tags(workers[0], {"ray-node-status": "up-to-date"})
        adapter.terminate(ids=workers, request_id="end")
        _wait(adapter, 1)


def _wait(adapter: Any, machines: int) -> list[str]:
    """Wait until there are `machines` instances, and return the workers; the adapter works in threads.

    Raises:
        TimeoutError: the number differs after 10 s.
    """
    for _ in range(200):
        found = adapter.get_non_terminated()
        if len(found) == machines:
            return [name for name, machine in found.items() if machine.node_type != "head"]
        time.sleep(0.05)
    raise TimeoutError(f"expected {machines} machines, got {found}: {adapter.poll_errors()}")


def run(folder: Path) -> Record:
    """Run a cluster from `ray up` to `ray down`."""
    with account(folder) as record:
        up(record)
        scale(record)
        down(record)
    return record


def main() -> None:
    """Print the requests."""
    logging.disable()  # moto logs many missing features
    with tempfile.TemporaryDirectory() as folder:
        record = run(Path(folder))
    for call in record.calls:
        print(f"# request of the {call.by}: {call.name}")
        if call.name in ("RunInstances", "CreateTags", "TerminateInstances"):
            print(_yaml(call.params))
    print("# ingress rules of the nodes")
    print(_yaml(record.ingress))
    for name, statements in record.statements.items():
        print(f"# statements of {name}")
        print(_yaml(statements))


def _yaml(values: Any) -> str:
    return yaml.safe_dump(
        json.loads(json.dumps(values)), sort_keys=False
    )  # through JSON, to avoid YAML anchors


if __name__ == "__main__":
    main()
