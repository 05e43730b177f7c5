"""Everything that stands between a cluster file and `ray up`, found before Ray is called."""

import contextlib
import copy
import io
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray_jobs.cluster import check_aws
from ray_jobs.cluster.config_text import FILL_IN, ClusterFile, Problem


def problems(file: ClusterFile) -> list[Problem]:
    """All of them at once, by line; those of the machine this runs on come first."""
    found = [*file.missing(), *_ray(file)]
    kind = file.config.get("provider", {}).get("type")
    if kind == "aws":
        found += check_aws.problems(file)
    elif kind == "local":
        found += _own_machines(file)
    found += _mounts(file)
    return sorted(set(found))


def _ray(file: ClusterFile) -> Iterator[Problem]:
    """What Ray's own validation says: all that its schema finds, and then what only its code does."""
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    full = _filled_out(file, prepare_config)
    if isinstance(full, Problem):
        yield full
        return
    found = [problem for error in _validator(jsonschema).iter_errors(full) for problem in _said(file, error)]
    yield from found
    if not found:
        try:
            validate_config(full)
        except Exception as error:  # noqa: BLE001, Ray raises what it likes
            yield Problem(0, f"Ray: {error}")


def _filled_out(file: ClusterFile, prepare: Any) -> Any:
    """The configuration with Ray's defaults, or why Ray cannot add them."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # warnings
            return prepare(copy.deepcopy(file.config))
    except Exception as error:  # noqa: BLE001, Ray raises what it likes
        return Problem(0, f"Ray: {error!r}")


def _validator(jsonschema: Any) -> Any:
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def _said(file: ClusterFile, error: Any) -> Iterator[Problem]:
    """An error of the schema; a key that it does not know gets a suggestion."""
    path = tuple(error.absolute_path)
    if error.validator != "additionalProperties":
        yield Problem(file.line(*path), f"{'.'.join(map(str, path))}: {error.message}")
        return
    known = error.schema.get("properties", {})
    for key in set(error.instance) - set(known):
        yield Problem(file.line_of_key(*path, key), f"{key} is no key here", check_aws.close(key, known))


def _mounts(file: ClusterFile) -> Iterator[Problem]:
    """What is copied to the nodes is there, and secrets are private."""
    for remote, local in file.config.get("file_mounts", {}).items():
        source, line = Path(local).expanduser(), file.line("file_mounts", remote)
        if source.parent.name == "secrets":
            yield from _secret(source, line)
        elif not source.exists():
            yield Problem(
                line, f"there is no {local} to copy to the nodes", "run it at the top of the repository"
            )


def _secret(path: Path, line: int) -> Iterator[Problem]:
    if not path.is_file() or not path.read_text().strip():
        yield Problem(line, f"{path} is {'empty' if path.is_file() else 'not there'}", "make token")
    elif path.stat().st_mode & 0o777 != 0o600:
        mode = path.stat().st_mode & 0o777
        yield Problem(line, f"{path} has mode {mode:04o}; others may read it", f"chmod 600 {path}")


def _own_machines(file: ClusterFile) -> Iterator[Problem]:
    """Addresses and the key of a cluster of one's own machines."""
    provider = file.config["provider"]
    workers = list(provider.get("worker_ips") or [])
    places = [(provider.get("head_ip"), file.line("provider", "head_ip"))]
    places += [(ip, file.line("provider", "worker_ips", row)) for row, ip in enumerate(workers)]
    seen: set[str] = set()
    for address, line in places:
        yield from _address(str(address), line, seen)
    yield from _key(file)


def _address(address: str, line: int, seen: set[str]) -> Iterator[Problem]:
    if FILL_IN in address:
        return
    try:
        ipaddress.ip_address(address)
    except ValueError:
        yield Problem(line, f"{address} is no address", "such as 10.0.0.10; Ray wants no names here")
    if address in seen:
        yield Problem(line, f"{address} is there twice", "each machine once, the head not among the workers")
    seen.add(address)


def _key(file: ClusterFile) -> Iterator[Problem]:
    key = str(file.config.get("auth", {}).get("ssh_private_key", FILL_IN))
    if FILL_IN not in key and not Path(key).expanduser().is_file():
        yield Problem(
            file.line("auth", "ssh_private_key"), f"there is no key {key}", "ssh-keygen, ssh-copy-id"
        )
