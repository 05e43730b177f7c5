"""A fake AWS account (moto) with the stack of stack.aws.yaml, and cluster.yaml filled in from its outputs.

ssh and rsync are fakes that record their command lines.
"""

import contextlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID

from ray_jobs.cluster.config_parser import read
from tests.support.places import ROOT

REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b")
DOOR = "eice-0123456789abcdef0"  # moto has no Instance Connect Endpoints
SECRET = "5ec2e7" * 8
_IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
_SSH = """#!{python}
import json, os, shutil, sys
with open({folder!r} + "/commands", "a") as commands:
    commands.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
line = sys.argv[-1]
answers = {{
    "Config.Env": '["HOME=/home/ray"]', "printenv HOME": "/home/ray", "command -v docker": "/usr/bin/docker",
    "meminfo": "MemAvailable: 16000000 kB", ".Runtimes": "map[nvidia:nvidia-container-runtime]",
}}
print(next((answer for part, answer in answers.items() if part in line), ""))
if "/~/" in line and os.path.exists(sys.argv[-2]):  # a file for the head's home
    shutil.copy(sys.argv[-2], {folder!r} + "/" + line.split("/~/")[1])
"""


@dataclass(frozen=True)
class Call:
    """A recorded request to AWS."""

    by: str
    name: str
    params: dict[str, Any]


@dataclass
class Record:
    """The state of the account, and the recorded requests."""

    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Physical ids of the stack's resources by logical name."""
    statements: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Statements of the stack's policies by policy name."""
    ingress: list[dict[str, Any]] = field(default_factory=list)
    """Rules of the nodes' security group at the end."""
    groups: list[str] = field(default_factory=list)
    """All security groups at the end."""
    running: list[str] = field(default_factory=list)
    """Ids of the instances that still run at the end."""
    calls: list[Call] = field(default_factory=list)

    def launches(self) -> dict[str, dict[str, Any]]:
        """Return the RunInstances requests by node type."""
        runs = [call.params for call in self.calls if call.name == "RunInstances"]
        return {tags(run)["ray-user-node-type"]: run for run in runs}

    def commands(self) -> list[list[str]]:
        """The command lines of ssh and rsync, as a process list would show them."""
        return [json.loads(line) for line in (self.folder / "commands").read_text().splitlines()]


def tags(run: dict[str, Any], kind: str = "instance") -> dict[str, str]:
    """The tags that a RunInstances request gives to one kind of resource."""
    given = [spec["Tags"] for spec in run["TagSpecifications"] if spec["ResourceType"] == kind]
    return {tag["Key"]: tag["Value"] for several in given for tag in several}


@contextlib.contextmanager
def account(folder: Path) -> Iterator[Record]:
    """An account with the stack; `folder` has the filled-in cluster.yaml, the secrets and a home."""
    from ray.autoscaler._private.aws.utils import resource_cache

    record = Record(folder)
    variables = {"HOME": str(folder), "PATH": f"{_programs(folder)}:{os.environ['PATH']}"}
    with mock_aws(), _environment(variables), contextlib.chdir(ROOT):
        resource_cache.cache_clear()  # drop Ray's clients of an earlier account
        boto3.setup_default_session()
        try:
            _stack(record)
            _cluster_file(record)
            yield record
            _record_state(record)
        finally:
            resource_cache.cache_clear()
            boto3.DEFAULT_SESSION = None


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before, before_dir = dict(os.environ), tempfile.tempdir
    os.environ.update(variables)
    tempfile.tempdir = variables["HOME"]  # Ray stores cluster state there
    try:
        yield
    finally:
        tempfile.tempdir = before_dir
        os.environ.clear()
        os.environ.update(before)


def _programs(folder: Path) -> Path:
    programs = folder / "bin"
    programs.mkdir()
    for name in ("ssh", "rsync", "aws"):
        (programs / name).write_text(_SSH.format(python=sys.executable, folder=str(folder)))
        (programs / name).chmod(0o755)
    return programs


def _stack(record: Record) -> None:
    """Create the stack. The zones are the only parameters that a user must choose."""
    ssm, cloud = boto3.client("ssm", REGION), boto3.client("cloudformation", REGION)
    image = boto3.client("ec2", REGION).describe_images()["Images"][0]["ImageId"]
    _public_parameter(ssm, image)
    chosen = [("FirstZone", ZONES[0]), ("SecondZone", ZONES[1])]
    chosen += [("WorkerTypes", "g6.xlarge,g5.xlarge")]  # the default, which moto does not parse as a list
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto warns about resources it lacks
        cloud.create_stack(
            StackName="tweetelm",
            TemplateBody=(ROOT / "stack.aws.yaml").read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in chosen],
            Capabilities=["CAPABILITY_IAM"],
        )
        (stack,) = cloud.describe_stacks(StackName="tweetelm")["Stacks"]
        made = cloud.describe_stack_resources(StackName="tweetelm")["StackResources"]
    record.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    record.outputs["SshProxy"] = f"{REGION}, {DOOR}"
    record.names = {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for one in made if "PhysicalResourceId" in one
    }


def _public_parameter(ssm: Any, image: str) -> None:
    """Store the image id under Amazon's name; public parameters cannot be written through the API."""
    from moto.ssm.models import ssm_backends

    ssm.put_parameter(Name="image", Value=image, Type="String")
    parameters = ssm_backends[DEFAULT_ACCOUNT_ID][REGION]._parameters
    parameters[_IMAGE] = parameters["image"]


def _cluster_file(record: Record) -> None:
    secrets = record.folder / "secrets"
    secrets.mkdir()
    for name in ("ray_auth_token", "api_keys"):
        (secrets / name).write_text(SECRET)
        (secrets / name).chmod(0o600)
    text = read(ROOT / "cluster.yaml").filled(record.outputs)
    (record.folder / "cluster.yaml").write_text(text.replace("./secrets/", f"{secrets}/"))


def _record_state(record: Record) -> None:
    """Record the final state of the account."""
    ec2 = boto3.client("ec2", REGION)
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        record.groups.append(group["GroupId"])
        if group["GroupId"] == record.outputs["SecurityGroups"]:
            record.ingress = group["IpPermissions"]
    machines = ec2.describe_instances()["Reservations"]
    instances = [machine for reservation in machines for machine in reservation["Instances"]]
    record.running = [one["InstanceId"] for one in instances if one["State"]["Name"] != "terminated"]
    for name in ("StoreAccess", "ClusterAccess", "LaunchWorkers", "PersonAccess"):
        found = boto3.client("iam").get_policy_version(PolicyArn=record.names[name], VersionId="v1")
        record.statements[name] = found["PolicyVersion"]["Document"]["Statement"]
