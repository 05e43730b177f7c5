"""stack.aws.yaml as it stands: what it opens, what it keeps private, who gets which rights."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.places import ROOT

STACK = ROOT / "stack.aws.yaml"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as {"Ref": …}, {"GetAtt": …}, {"Sub": …}."""


def _short(loader: _Loader, kind: str, node: Any) -> dict[str, Any]:
    value = loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else node.value
    return {kind: value}


_Loader.add_multi_constructor("!", _short)  # type: ignore[no-untyped-call]


def resources(kind: str) -> dict[str, dict[str, Any]]:
    template = yaml.load(STACK.read_text(), Loader=_Loader)
    made = {name: one for name, one in template["Resources"].items() if one["Type"] == f"AWS::{kind}"}
    assert made, kind
    return {name: one.get("Properties", {}) for name, one in made.items()}


@pytest.mark.slow
def test_stack_is_valid_cloudformation(tmp_path: Path) -> None:
    """Amazon's own linter, with the schema of each resource; and it finds a misspelled property."""
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    text = STACK.read_text()
    regions: Any = ManualArgs(regions=["us-east-1", "eu-central-1"])
    assert lint(text, config=regions) == []
    assert "CidrBlok" in str(
        lint(text.replace("CidrBlock: 10.42.16.0", "CidrBlok: 10.42.16.0"), config=regions)
    )


def test_no_group_has_ingress_by_address() -> None:
    assert not any("SecurityGroupIngress" in group for group in resources("EC2::SecurityGroup").values())
    rules = resources("EC2::SecurityGroupIngress")
    assert {name: rule["SourceSecurityGroupId"]["GetAtt"] for name, rule in rules.items()} == {
        "NodesFromNodes": "Nodes.GroupId",
        "NodesFromDoor": "DoorGroup.GroupId",
    }
    assert not any(key.startswith("Cidr") for rule in rules.values() for key in rule)


def test_connect_endpoint_reaches_ssh_only() -> None:
    (way,) = resources("EC2::SecurityGroup")["DoorGroup"]["SecurityGroupEgress"]
    assert (way["FromPort"], way["ToPort"]) == (22, 22)
    assert way["DestinationSecurityGroupId"] == {"GetAtt": "Nodes.GroupId"}


def test_no_machine_has_a_public_address() -> None:
    subnets = resources("EC2::Subnet").values()
    assert not any("MapPublicIpOnLaunch" in subnet for subnet in subnets)
    routes = resources("EC2::Route")
    assert routes["RouteOut"]["NatGatewayId"] == {"Ref": "Nat"}
    assert "GatewayId" not in routes["RouteOut"]


def test_bucket_is_private_encrypted_and_retained() -> None:
    (bucket,) = resources("S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "ServerSideEncryptionConfiguration" in bucket["BucketEncryption"]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] <= 7
    (policy,) = resources("S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )
    assert yaml.load(STACK.read_text(), Loader=_Loader)["Resources"]["Bucket"]["DeletionPolicy"] == "Retain"


def test_worker_role_allows_only_the_bucket() -> None:
    roles = resources("IAM::Role")
    assert roles["WorkerRole"]["ManagedPolicyArns"] == [{"Ref": "StoreAccess"}]
    assert "Policies" not in roles["WorkerRole"]
    statements = resources("IAM::ManagedPolicy")["StoreAccess"]["PolicyDocument"]["Statement"]
    actions = [one for statement in statements for one in _several(statement["Action"])]
    assert {action.partition(":")[0] for action in actions} == {"s3"}


def test_no_permission_is_too_wide() -> None:
    for name, policy in resources("IAM::ManagedPolicy").items():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert not any("*" in action for action in _several(statement["Action"])), name
            if statement["Resource"] == "*":
                assert all(action.startswith("ec2:Describe") for action in _several(statement["Action"]))
                assert "aws:RequestedRegion" in statement["Condition"]["StringEquals"]


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
