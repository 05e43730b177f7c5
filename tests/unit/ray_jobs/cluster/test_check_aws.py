"""What a cluster asks of AWS between `ray up` and `ray down`: Ray's own code, a make-believe account."""

import contextlib
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests.support.aws_account import DOOR, REGION, SECRET, Record, account, tags
from tests.support.iam import Ask, allowed, arn, asks

pytestmark = pytest.mark.slow

TYPES = {
    "head": "m6i.xlarge",
    "g6_spot": "g6.xlarge",
    "g5_spot": "g5.xlarge",
    "g6_on_demand": "g6.xlarge",
    "g5_on_demand": "g5.xlarge",
}
RIGHTS = {
    "head": ("StoreAccess", "ClusterAccess", "LaunchWorkers"),
    "person": ("ClusterAccess", "PersonAccess"),
}


def statements(cluster: Record, who: str) -> list[dict[str, Any]]:
    return [statement for name in RIGHTS[who] for statement in cluster.statements[name]]


def test_machines_match_the_file(cluster: Record) -> None:
    assert {name: run["InstanceType"] for name, run in cluster.launches().items()} == TYPES
    assert all(run["MaxCount"] == 1 for run in cluster.launches().values())


def test_only_spot_node_types_use_spot_instances(cluster: Record) -> None:
    market = {name: run.get("InstanceMarketOptions", {}) for name, run in cluster.launches().items()}
    assert {name for name, options in market.items() if options} == {"g6_spot", "g5_spot"}
    assert market["g6_spot"] == {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}


def test_machines_use_private_subnet_and_own_group(cluster: Record) -> None:
    for run in cluster.launches().values():
        assert run["SubnetId"] in cluster.outputs["Subnets"].split(", ")
        assert run["SecurityGroupIds"] == [cluster.outputs["SecurityGroups"]]
        assert "NetworkInterfaces" not in run  # which could ask for a public address


def test_only_nodes_and_endpoint_reach_the_nodes(cluster: Record) -> None:
    nodes, door = cluster.ingress
    assert [pair["GroupId"] for pair in nodes["UserIdGroupPairs"]] == [cluster.outputs["SecurityGroups"]]
    assert (door["IpProtocol"], door["FromPort"], door["ToPort"]) == ("tcp", 22, 22)
    assert [pair["GroupId"] for pair in door["UserIdGroupPairs"]] == [cluster.names["DoorGroup"]]
    assert [rule["IpRanges"] + rule["Ipv6Ranges"] for rule in cluster.ingress] == [[], []]


def test_without_own_group_ray_opens_ssh_to_all(tmp_path: Path) -> None:
    """Why the file names a group; and that Ray's code is really run here."""
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.util import prepare_config

    with account(tmp_path) as record:
        config = yaml.safe_load((record.folder / "cluster.yaml").read_text())
        for node_type in config["available_node_types"].values():
            del node_type["node_config"]["SecurityGroupIds"]
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            bootstrap_aws(prepare_config(config))
        groups = boto3.client("ec2", REGION).describe_security_groups()["SecurityGroups"]
    ranges = [ip["CidrIp"] for group in groups for rule in group["IpPermissions"] for ip in rule["IpRanges"]]
    assert ranges == ["0.0.0.0/0"]


def test_imdsv2_and_encrypted_disks_are_required(cluster: Record) -> None:
    for run in cluster.launches().values():
        assert run["MetadataOptions"]["HttpTokens"] == "required"
        (disk,) = run["BlockDeviceMappings"]
        assert disk["Ebs"]["Encrypted"]
        assert disk["Ebs"]["DeleteOnTermination"]


def test_workers_lack_the_heads_permissions(cluster: Record) -> None:
    profiles = {name: run["IamInstanceProfile"]["Name"] for name, run in cluster.launches().items()}
    assert profiles.pop("head") == cluster.outputs["HeadProfile"]
    assert set(profiles.values()) == {cluster.outputs["WorkerProfile"]}


def test_machines_and_disks_are_tagged_for_billing(cluster: Record) -> None:
    for name, run in cluster.launches().items():
        given = tags(run)
        assert (given["ray-cluster-name"], given["ray-user-node-type"]) == ("tweetelm", name)
        assert given["project"] == tags(run, "volume")["project"] == "tweetelm"


def test_all_machines_use_the_stacks_image(cluster: Record) -> None:
    assert {run["ImageId"] for run in cluster.launches().values()} == {cluster.outputs["Image"]}


def test_ray_down_leaves_nothing(cluster: Record) -> None:
    assert cluster.running == []


# --- rights ---


@pytest.mark.parametrize("who", RIGHTS)
def test_permissions_cover_all_calls_of_ray(cluster: Record, who: str) -> None:
    asked = [ask for call in cluster.calls if call.by == who for ask in asks(call, cluster)]
    assert {"ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "iam:PassRole"} <= {
        ask.action for ask in asked
    }
    assert [ask for ask in asked if not allowed(ask, statements(cluster, who))] == []


def test_head_launches_only_workers(cluster: Record) -> None:
    worker = next(call for call in cluster.calls if call.by == "head" and call.name == "RunInstances")
    machine = asks(worker, cluster)[0]
    assert allowed(machine, statements(cluster, "head"))
    head_profile = machine.context["ec2:InstanceProfile"].replace(
        cluster.outputs["WorkerProfile"], cluster.outputs["HeadProfile"]
    )
    for key, value in {
        "ec2:InstanceType": "p5.48xlarge",
        "ec2:InstanceProfile": head_profile,
        "ec2:MetadataHttpTokens": "optional",
        "aws:RequestTag/ray-cluster-name": "another",
    }.items():
        other = Ask(machine.action, machine.resource, machine.context | {key: value})
        assert not allowed(other, statements(cluster, "head")), key


@pytest.mark.parametrize("who", RIGHTS)
@pytest.mark.parametrize("action", ["ec2:TerminateInstances", "ec2:CreateTags"])
def test_other_machines_are_out_of_reach(cluster: Record, who: str, action: str) -> None:
    others = Ask(action, arn("instance", "i-1"), {"aws:ResourceTag/ray-cluster-name": "another"})
    untagged = Ask(action, arn("instance", "i-1"), {})
    assert not allowed(others, statements(cluster, who))
    assert not allowed(untagged, statements(cluster, who))


@pytest.mark.parametrize(
    ("action", "key", "may"),
    [
        ("GetObject", "data/hate.csv", True),
        ("GetObject", "weights/openelm-270m/config.json", True),
        ("PutObject", "weights/openelm-270m/config.json", False),
        ("PutObject", "data/hate.csv", False),
        ("PutObject", "runs/a/checkpoint", True),
        ("DeleteObject", "runs/a/checkpoint", True),
        ("PutObject", "models/hate/current.json", True),
        ("DeleteObject", "models/hate/current.json", False),
        ("GetObject", "elsewhere", False),
        ("PutObject", "elsewhere", False),
    ],
)
def test_jobs_reach_only_their_bucket_prefix(cluster: Record, action: str, key: str, may: bool) -> None:
    ask = Ask(f"s3:{action}", f"arn:aws:s3:::{cluster.outputs['Store']}/{key}", {})
    elsewhere = Ask(f"s3:{action}", f"arn:aws:s3:::another/{key}", {})
    assert allowed(ask, cluster.statements["StoreAccess"]) is may
    assert not allowed(elsewhere, cluster.statements["StoreAccess"])


# --- the way in ---


def test_all_ssh_uses_the_connect_endpoint(cluster: Record) -> None:
    commands = cluster.commands()
    assert {command[0] for command in commands} == {"ssh", "rsync"}
    door = f"--region {REGION} --instance-connect-endpoint-id {DOOR} --private-ip-address %h"
    assert [command for command in commands if door not in " ".join(command)] == []


@pytest.mark.parametrize("name", ["auth_token", "api_keys"])
def test_secrets_are_private_files_and_never_printed(cluster: Record, name: str) -> None:
    carried = [command for command in cluster.commands() if command[-1].endswith(f"/home/ray/{name}")]
    assert [command[0] for command in carried] == ["rsync"]
    assert "-avz" in carried[0]  # which keeps the file's mode
    assert Path(carried[0][-2]).stat().st_mode & 0o777 == 0o600
    said = str(cluster.commands()) + str(cluster.calls) + (cluster.folder / "output").read_text()
    assert SECRET not in said
    assert SECRET not in (cluster.folder / "ray_bootstrap_config.yaml").read_text()


def test_containers_have_region_and_code_path(cluster: Record) -> None:
    (start,) = [command[-1] for command in cluster.commands() if "docker run" in command[-1]]
    for setting in ("AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "PYTHONPATH=/home/ray/app:"):
        assert f" -e {setting}" in start
