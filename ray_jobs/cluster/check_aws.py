"""Checks a cluster file for AWS offline, without credentials.

Valid keys, instance types and regions come from botocore, which contains Amazon's description of its API.
"""

import re
import shutil
from collections.abc import Iterator
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from ray_jobs.cluster.config_parser import FILL_IN, ClusterFile, Problem

_IDS = {"SubnetIds": "subnet", "SecurityGroupIds": "sg", "ImageId": "ami"}
_ID = re.compile(r"([a-z]+)-([0-9a-f]{8}|[0-9a-f]{17})")


def problems(file: ClusterFile) -> Iterator[Problem]:
    """Yield all problems that can be found without an AWS account."""
    try:
        import boto3  # noqa: F401, Ray needs it too, but fails only after it has started
        import botocore.session
    except ModuleNotFoundError as error:
        yield Problem(0, f"{error.name} is not installed", "make setup, or .venv/bin/pip install boto3")
        return
    session = botocore.session.get_session()
    yield from _region(file, session)
    yield from _nodes(file, session.get_service_model("ec2"))
    yield from _ssh_proxy(file)
    yield from _store(file)


def close(word: str, words: Any) -> str:
    """Return a suggestion for a misspelled word; "" if none is close."""
    near = get_close_matches(str(word), [str(other) for other in words], n=2, cutoff=0.7)
    likeness = [SequenceMatcher(None, other, word).ratio() for other in near]
    return f"did you mean {' or '.join(sorted(near[: likeness.count(likeness[0])]))}?" if near else ""


def _region(file: ClusterFile, session: Any) -> Iterator[Problem]:
    """Check the region, its zones, and the region in the environment of the nodes."""
    provider = file.config["provider"]
    region = str(provider.get("region"))
    if FILL_IN in region:
        return
    partitions = session.get_available_partitions()
    regions = [name for part in partitions for name in session.get_available_regions("ec2", part)]
    if region not in regions:
        line = file.line("provider", "region")
        yield Problem(line, f"{region} is not an AWS region", close(region, regions))
        return
    for zone in str(provider.get("availability_zone", "")).split(","):
        if FILL_IN not in zone and not re.fullmatch(rf"{re.escape(region)}(-\w+-\d+)?[a-z]", zone.strip()):
            line = file.line("provider", "availability_zone")
            yield Problem(
                line, f"{zone.strip() or 'an empty name'} is not a zone of {region}", f"such as {region}a"
            )
    yield from _region_of_nodes(file, region)


def _region_of_nodes(file: ClusterFile, region: str) -> Iterator[Problem]:
    for row, option in enumerate(file.config.get("docker", {}).get("run_options", [])):
        for name, value in re.findall(r"(AWS_\w*REGION)=(\S+)", option):
            if value not in (region, FILL_IN):
                line = file.line("docker", "run_options", row)
                yield Problem(line, f"{name} is {value}, but the region is {region}", "use the same region")


def _nodes(file: ClusterFile, ec2: Any) -> Iterator[Problem]:
    """Check every node type against the parameters of RunInstances."""
    shape = ec2.operation_model("RunInstances").input_shape
    for name, node_type in file.config["available_node_types"].items():
        path = ("available_node_types", name, "node_config")
        node = dict(node_type.get("node_config", {}))
        for key, prefix in _IDS.items():
            yield from _ids(file, (*path, key), node.get(key), prefix)
        node.pop("SubnetIds", None)  # Ray's own key
        yield from _fits(file, path, node, shape)


def _ids(file: ClusterFile, path: tuple[str, ...], value: Any, prefix: str) -> Iterator[Problem]:
    ids = value if isinstance(value, list) else [value]
    line = file.line(*path)
    for given in ids:
        found = _ID.fullmatch(str(given))
        if FILL_IN not in str(given) and not (found and found[1] == prefix):
            yield Problem(line, f"{path[-1]}: {given} is not an id", f"{prefix}- and 17 digits of 0-9a-f")
    if len(set(map(str, ids))) < len(ids) and FILL_IN not in ids:
        yield Problem(line, f"{path[-1]} lists an id twice", "list one per zone")


def _fits(file: ClusterFile, path: tuple[str | int, ...], value: Any, shape: Any) -> Iterator[Problem]:
    """Yield unknown keys, values of the wrong type, and values outside an enumeration."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for key, inner in value.items():
            if key in shape.members:
                yield from _fits(file, (*path, key), inner, shape.members[key])
            else:
                line = file.line_of_key(*path, key)
                yield Problem(line, f"{key} is not a valid key", close(key, shape.members))
    elif shape.type_name == "list" and isinstance(value, list):
        for row, inner in enumerate(value):
            yield from _fits(file, (*path, row), inner, shape.member)
    elif not isinstance(value, _KINDS.get(shape.type_name, object)):
        yield Problem(file.line(*path), f"{path[-1]}: expected a {shape.type_name}, got {value!r}")
    elif value not in (known := getattr(shape, "enum", None) or [value]):
        yield Problem(file.line(*path), f"{path[-1]}: unknown value {value}", close(value, known))


_KINDS: dict[str, Any] = {"structure": dict, "list": list, "string": str, "integer": int, "boolean": bool}


def _ssh_proxy(file: ClusterFile) -> Iterator[Problem]:
    """Check the ssh proxy command."""
    command = file.config.get("auth", {}).get("ssh_proxy_command")
    if not command:
        return
    line, program = file.line("auth", "ssh_proxy_command"), command.split()[0]
    if shutil.which(program) is None:
        yield Problem(
            0, f"{program} is not installed; ssh_proxy needs it", "install version 2 of the AWS CLI"
        )
    named = dict(re.findall(r"--(region|instance-connect-endpoint-id)[ =](\S+)", command))
    region, endpoint = (
        file.config["provider"].get("region"),
        named.get("instance-connect-endpoint-id", FILL_IN),
    )
    if named.get("region", region) not in (region, FILL_IN):
        yield Problem(
            line, f"ssh_proxy uses {named['region']}, but the region is {region}", "use the same region"
        )
    if endpoint != FILL_IN and not re.fullmatch(r"eice-[0-9a-f]{17}", endpoint):
        yield Problem(line, f"ssh_proxy: {endpoint} is not an id", "eice- and 17 digits of 0-9a-f")
    if "%h" not in command:
        yield Problem(line, "ssh_proxy has no %h, the placeholder for the host", "--private-ip-address %h")


def _store(file: ClusterFile) -> Iterator[Problem]:
    store = str(file.config.get("metadata", {}).get("store", ""))
    if (
        store
        and FILL_IN not in store
        and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]+)?", store)
    ):
        yield Problem(
            file.line("metadata", "store"), f"{store} is not an S3 URL", "s3:// and the bucket name"
        )
