"""What AWS would refuse in a cluster file, and more, found out without asking AWS.

The names of keys, instance types and regions are those of botocore, which has Amazon's own description of
its API.
"""

import re
import shutil
from collections.abc import Iterator
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from ray_jobs.cluster.config_text import FILL_IN, ClusterFile, Problem

_IDS = {"SubnetIds": "subnet", "SecurityGroupIds": "sg", "ImageId": "ami"}
_ID = re.compile(r"([a-z]+)-([0-9a-f]{8}|[0-9a-f]{17})")


def problems(file: ClusterFile) -> Iterator[Problem]:
    """All that can be said without an account."""
    try:
        import boto3  # noqa: F401, Ray asks for it too, but only once it has begun
        import botocore.session
    except ModuleNotFoundError as error:
        yield Problem(0, f"{error.name} is not installed", "make setup, or .venv/bin/pip install boto3")
        return
    session = botocore.session.get_session()
    yield from _place(file, session)
    yield from _nodes(file, session.get_service_model("ec2"))
    yield from _door(file)
    yield from _store(file)


def close(word: str, words: Any) -> str:
    """A suggestion for a misspelled word."""
    near = get_close_matches(str(word), [str(other) for other in words], n=2, cutoff=0.7)
    likeness = [SequenceMatcher(None, other, word).ratio() for other in near]
    return f"did you mean {' or '.join(sorted(near[: likeness.count(likeness[0])]))}?" if near else ""


def _place(file: ClusterFile, session: Any) -> Iterator[Problem]:
    """The region, its zones, and the region in the environment of the nodes."""
    provider = file.config["provider"]
    region = str(provider.get("region"))
    if FILL_IN in region:
        return
    partitions = session.get_available_partitions()
    regions = [name for part in partitions for name in session.get_available_regions("ec2", part)]
    if region not in regions:
        line = file.line("provider", "region")
        yield Problem(line, f"{region} is no region of AWS", close(region, regions))
        return
    for zone in str(provider.get("availability_zone", "")).split(","):
        if FILL_IN not in zone and not re.fullmatch(rf"{re.escape(region)}(-\w+-\d+)?[a-z]", zone.strip()):
            line = file.line("provider", "availability_zone")
            yield Problem(line, f"{zone.strip() or 'no'} is no zone of {region}", f"such as {region}a")
    yield from _region_of_nodes(file, region)


def _region_of_nodes(file: ClusterFile, region: str) -> Iterator[Problem]:
    for row, option in enumerate(file.config.get("docker", {}).get("run_options", [])):
        for name, value in re.findall(r"(AWS_\w*REGION)=(\S+)", option):
            if value not in (region, FILL_IN):
                line = file.line("docker", "run_options", row)
                yield Problem(line, f"{name} is {value}, the region is {region}", "write the same region")


def _nodes(file: ClusterFile, ec2: Any) -> Iterator[Problem]:
    """Every node type against what RunInstances takes."""
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
    for one in ids:
        found = _ID.fullmatch(str(one))
        if FILL_IN not in str(one) and not (found and found[1] == prefix):
            yield Problem(line, f"{path[-1]}: {one} is no id", f"{prefix}- and 17 digits of 0-9a-f")
    if len(set(map(str, ids))) < len(ids) and FILL_IN not in ids:
        yield Problem(line, f"{path[-1]} names one twice", "one for each zone")


def _fits(file: ClusterFile, path: tuple[str | int, ...], value: Any, shape: Any) -> Iterator[Problem]:
    """Unknown keys, wrong kinds of values, and values that are not among those there are."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for key, inner in value.items():
            if key in shape.members:
                yield from _fits(file, (*path, key), inner, shape.members[key])
            else:
                line = file.line_of_key(*path, key)
                yield Problem(line, f"{key} is no key here", close(key, shape.members))
    elif shape.type_name == "list" and isinstance(value, list):
        for row, inner in enumerate(value):
            yield from _fits(file, (*path, row), inner, shape.member)
    elif not isinstance(value, _KINDS.get(shape.type_name, object)):
        yield Problem(file.line(*path), f"{path[-1]}: expected a {shape.type_name}, got {value!r}")
    elif value not in (known := getattr(shape, "enum", None) or [value]):
        yield Problem(file.line(*path), f"{path[-1]}: there is no {value}", close(value, known))


_KINDS: dict[str, Any] = {"structure": dict, "list": list, "string": str, "integer": int, "boolean": bool}


def _door(file: ClusterFile) -> Iterator[Problem]:
    """The command that ssh comes in by."""
    command = file.config.get("auth", {}).get("ssh_proxy_command")
    if not command:
        return
    line, program = file.line("auth", "ssh_proxy_command"), command.split()[0]
    if shutil.which(program) is None:
        yield Problem(
            0, f"{program} is not installed; ssh comes in by it", "install version 2 of the AWS command line"
        )
    named = dict(re.findall(r"--(region|instance-connect-endpoint-id)[ =](\S+)", command))
    region, door = file.config["provider"].get("region"), named.get("instance-connect-endpoint-id", FILL_IN)
    if named.get("region", region) not in (region, FILL_IN):
        yield Problem(
            line, f"ssh_proxy is for {named['region']}, the region is {region}", "write the same region"
        )
    if door != FILL_IN and not re.fullmatch(r"eice-[0-9a-f]{17}", door):
        yield Problem(line, f"ssh_proxy: {door} is no id", "eice- and 17 digits of 0-9a-f")
    if "%h" not in command:
        yield Problem(line, "ssh_proxy has no %h, which stands for the machine", "--private-ip-address %h")


def _store(file: ClusterFile) -> Iterator[Problem]:
    store = str(file.config.get("metadata", {}).get("store", ""))
    if (
        store
        and FILL_IN not in store
        and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]+)?", store)
    ):
        yield Problem(file.line("metadata", "store"), f"{store} is no bucket", "s3:// and its name")
