"""A minimal IAM evaluator: the permissions that a call needs, and whether statements allow it.

The permissions follow AWS's "Service Authorization Reference". They were not checked against AWS itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

from tests.support.aws_account import REGION, Call, Record, tags

Statements = list[dict[str, Any]]


@dataclass(frozen=True)
class Ask:
    """One action on one resource, with its condition keys."""

    action: str
    resource: str
    context: dict[str, str]


def asks(call: Call, record: Record) -> list[Ask]:
    """Return all permissions that AWS checks for a call to EC2."""
    if call.name == "RunInstances":
        return list(_run(call.params, record))
    if call.name == "CreateKeyPair":
        return [Ask("ec2:CreateKeyPair", arn("key-pair", call.params["KeyName"]), {})]
    ids = call.params.get("Resources") or call.params.get("InstanceIds")
    if call.name in ("CreateTags", "TerminateInstances"):
        ours = {"aws:ResourceTag/ray-cluster-name": "tweetelm"}
        return [Ask(f"ec2:{call.name}", arn("instance", name), ours) for name in ids or []]
    return [Ask(f"ec2:{call.name}", "*", {"aws:RequestedRegion": REGION})]


def _run(run: dict[str, Any], record: Record) -> Iterator[Ask]:
    """Permissions of a launch: RunInstances on many resources, CreateTags on two, and PassRole."""
    profile = run["IamInstanceProfile"]["Name"]
    machine = {f"aws:RequestTag/{key}": value for key, value in tags(run).items()} | {
        "ec2:InstanceType": run["InstanceType"],
        "ec2:InstanceProfile": f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:instance-profile/{profile}",
        "ec2:MetadataHttpTokens": run["MetadataOptions"]["HttpTokens"],
    }
    yield Ask("ec2:RunInstances", arn("instance", "*"), machine)
    affected = [("subnet", run["SubnetId"]), ("key-pair", run["KeyName"]), ("volume", "*")]
    affected += [("security-group", group) for group in run["SecurityGroupIds"]] + [
        ("network-interface", "*")
    ]
    affected += [("spot-instances-request", "*")] if "InstanceMarketOptions" in run else []
    yield from (Ask("ec2:RunInstances", arn(kind, name), {}) for kind, name in affected)
    yield Ask("ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/{run['ImageId']}", {})
    for spec in run["TagSpecifications"]:
        yield Ask("ec2:CreateTags", arn(spec["ResourceType"], "*"), {"ec2:CreateAction": "RunInstances"})
    ours = {record.names["HeadProfile"]: "HeadRole", record.names["WorkerProfile"]: "WorkerRole"}
    role = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/{record.names[ours[profile]]}"
    yield Ask("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"})


def arn(kind: str, name: str) -> str:
    """The ARN of an EC2 resource; `*` stands for a resource that does not exist yet."""
    return f"arn:aws:ec2:{REGION}:{DEFAULT_ACCOUNT_ID}:{kind}/{name}"


def allowed(ask: Ask, statements: Statements) -> bool:
    """Return whether a statement allows the request; the stack has no Deny statements."""
    assert all(statement["Effect"] == "Allow" for statement in statements)
    return any(
        _any_like(ask.action, statement["Action"])
        and _any_like(ask.resource, statement["Resource"])
        and _holds(ask.context, statement.get("Condition", {}))
        for statement in statements
    )


def _any_like(word: str, patterns: str | list[str]) -> bool:
    return any(fnmatchcase(word, pattern) for pattern in _several(patterns))


def _holds(context: dict[str, str], condition: dict[str, dict[str, Any]]) -> bool:
    """Whether all conditions hold; these operators are false for a key that the request lacks."""
    assert condition.keys() <= {"StringEquals", "ArnEquals", "NumericEquals"}
    return all(
        context.get(key) in _several(wanted)
        for operator in condition.values()
        for key, wanted in operator.items()
    )


def _several(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
