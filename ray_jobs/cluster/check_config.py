"""Checks a cluster file before `ray up`."""

import contextlib
import copy
import io
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray_jobs.cluster import check_aws
from ray_jobs.cluster.config_parser import FILL_IN, ClusterFile, Problem


def problems(file: ClusterFile) -> list[Problem]:
    """Return all problems, ordered by line; those of this machine come first."""
    found = [*file.missing(), *_ray(file)]
    kind = file.config.get("provider", {}).get("type")
    if kind == "aws":
        found += check_aws.problems(file)
    elif kind == "local":
        found += _own_machines(file)
    found += _mounts(file)
    return sorted(set(found))


def _ray(file: ClusterFile) -> Iterator[Problem]:
    """Yield the problems that Ray's validation finds: by its schema and, if that passes, by its code."""
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    full = _filled_out(file, prepare_config)
    if isinstance(full, Problem):
        yield full
        return
    found = [
        problem
        for error in _validator(jsonschema).iter_errors(full)
        for problem in _schema_problems(file, error)
    ]
    yield from found
    if not found:
        try:
            validate_config(full)
        except Exception as error:  # noqa: BLE001, Ray raises many exception types
            yield Problem(0, f"Ray: {error}")


def _filled_out(file: ClusterFile, prepare: Any) -> Any:
    """Return the configuration with Ray's defaults, or the problem that prevents this."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # warnings
            return prepare(copy.deepcopy(file.config))
    except Exception as error:  # noqa: BLE001, Ray raises many exception types
        return Problem(0, f"Ray: {error!r}")


def _validator(jsonschema: Any) -> Any:
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def _schema_problems(file: ClusterFile, error: Any) -> Iterator[Problem]:
    """Yield a schema error; an unknown key gets a suggestion."""
    path = tuple(error.absolute_path)
    if error.validator != "additionalProperties":
        yield Problem(file.line(*path), f"{'.'.join(map(str, path))}: {error.message}")
        return
    known = error.schema.get("properties", {})
    for key in set(error.instance) - set(known):
        yield Problem(file.line_of_key(*path, key), f"{key} is not a valid key", check_aws.close(key, known))


def _mounts(file: ClusterFile) -> Iterator[Problem]:
    """Check that files to copy to the nodes exist, and that secrets are private."""
    for remote, local in file.config.get("file_mounts", {}).items():
        source, line = Path(local).expanduser(), file.line("file_mounts", remote)
        if source.parent.name == "secrets":
            yield from _secret(source, line)
        elif not source.exists():
            yield Problem(
                line,
                f"{local}, to be copied to the nodes, does not exist",
                "run in the root of the repository",
            )


def _secret(path: Path, line: int) -> Iterator[Problem]:
    if not path.is_file() or not path.read_text().strip():
        yield Problem(line, f"{path} {'is empty' if path.is_file() else 'does not exist'}", "make token")
    elif path.stat().st_mode & 0o777 != 0o600:
        mode = path.stat().st_mode & 0o777
        yield Problem(line, f"{path} has mode {mode:04o}; other users can read it", f"chmod 600 {path}")


def _own_machines(file: ClusterFile) -> Iterator[Problem]:
    """Check the addresses and the ssh key of an on-premises cluster."""
    provider = file.config["provider"]
    workers = list(provider.get("worker_ips") or [])
    addresses = [(provider.get("head_ip"), file.line("provider", "head_ip"))]
    addresses += [(ip, file.line("provider", "worker_ips", row)) for row, ip in enumerate(workers)]
    seen: set[str] = set()
    for address, line in addresses:
        yield from _address(str(address), line, seen)
    yield from _key(file)


def _address(address: str, line: int, seen: set[str]) -> Iterator[Problem]:
    if FILL_IN in address:
        return
    try:
        ipaddress.ip_address(address)
    except ValueError:
        yield Problem(
            line, f"{address} is not an IP address", "such as 10.0.0.10; Ray does not accept host names"
        )
    if address in seen:
        yield Problem(
            line, f"{address} is listed twice", "list each machine once, and the head not among the workers"
        )
    seen.add(address)


def _key(file: ClusterFile) -> Iterator[Problem]:
    key = str(file.config.get("auth", {}).get("ssh_private_key", FILL_IN))
    if FILL_IN not in key and not Path(key).expanduser().is_file():
        yield Problem(
            file.line("auth", "ssh_private_key"),
            f"the ssh key {key} does not exist",
            "ssh-keygen, ssh-copy-id",
        )
