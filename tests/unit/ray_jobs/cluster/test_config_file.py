"""Problems of a cluster file, found offline before `ray up`, with their lines and remedies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ray_jobs.cluster.check_config import problems
from ray_jobs.cluster.config_parser import ClusterFile
from tests.support.places import ROOT

OUTPUTS = {
    "Region": "us-east-1",
    "RegionOfNodes": "us-east-1",
    "Zones": "us-east-1a, us-east-1b",
    "Subnets": "subnet-0aaaaaaaaaaaaaaaa, subnet-0bbbbbbbbbbbbbbbb",
    "SecurityGroups": "sg-0aaaaaaaaaaaaaaaa",
    "SshProxy": "us-east-1, eice-0aaaaaaaaaaaaaaaa",
    "Image": "ami-0aaaaaaaaaaaaaaaa",
    "HeadProfile": "head",
    "WorkerProfile": "worker",
    "Store": "bucket",
}
LOCAL = {"Head": "10.0.0.10", "Workers": "10.0.0.11, 10.0.0.12", "User": "ubuntu"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a token, a key, and a command line of AWS; no credentials anywhere."""
    for name in ("src", "serve", "ray_jobs", "requirements.lock", "requirements-cuda.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("secrets/ray_auth_token", "secrets/api_keys", "key", "bin/aws"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o700 if name == "bin/aws" else 0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def filled(name: str = "cluster.yaml") -> str:
    """A file of the repository with every value in it."""
    file = ClusterFile(Path(name), (ROOT / name).read_text())
    values = OUTPUTS if name == "cluster.yaml" else LOCAL | {"Key": str(Path.cwd() / "key")}
    return file.filled(values)


def said(text: str, name: str = "cluster.yaml") -> list[str]:
    """The problems, with the text of the line in front."""
    lines = ["", *text.splitlines()]
    found = problems(ClusterFile(Path(name), text))
    return [f"{lines[one.line].strip()} -> {one.what} ({one.repair})" for one in found]


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster.local.yaml"])
def test_complete_file_has_no_problems(name: str) -> None:
    assert said(filled(name), name) == []


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster.local.yaml"])
def test_missing_values_are_listed_with_line_and_comment(name: str) -> None:
    text = (ROOT / name).read_text()
    found = [line for line in said(text, name) if "not filled in" in line]
    missing = [line for line in text.splitlines() if "FILL-IN" in line and not line.startswith("#")]
    assert len(found) == len(missing)
    assert all(line.split(" -> ")[0] in text and not line.endswith("()") for line in found)


MISTAKES = [  # what is right, what somebody wrote, where it stands, what is said
    (
        "&region us-east-1",
        "&region us-esat-1",
        "region:",
        "is not an AWS region (did you mean us-east-1 or us-west-1?)",
    ),
    ("AWS_REGION=us-east-1", "AWS_REGION=us-west-2", "region_of_nodes:", "AWS_REGION is us-west-2"),
    ("us-east-1b # those", "us-west-2b # those", "zones:", "us-west-2b is not a zone of us-east-1"),
    ("subnet-0bbbbbbbbbbbbbbbb", "subnet-0bbb", "subnets:", "SubnetIds: subnet-0bbb is not an id"),
    ("subnet-0bbbbbbbbbbbbbbbb", "subnet-0aaaaaaaaaaaaaaaa", "subnets:", "SubnetIds lists an id twice"),
    (
        "sg-0aaaaaaaaaaaaaaaa",
        "group",
        "security_groups:",
        "SecurityGroupIds: group is not an id (sg- and 17 digits",
    ),
    (
        "ami-0aaaaaaaaaaaaaaaa",
        "ubuntu",
        "image:",
        "ImageId: ubuntu is not an id (ami- and 17 digits of 0-9a-f)",
    ),
    ("eice-0aaaaaaaaaaaaaaaa", "eice-1", "ssh_proxy:", "eice-1 is not an id"),
    ("--region us-east-1", "--region us-west-2", "ssh_proxy:", "uses us-west-2, but the region is us-east-1"),
    (" %h", "", "ssh_proxy:", "has no %h"),
    ("s3://bucket", "s3://Bucket_1", "store:", "s3://Bucket_1 is not an S3 URL"),
    ("Type: g5.xlarge", "Type: g5.xlage", "node_config:", "unknown value g5.xlage (did you mean g5.xlarge?)"),
    ("MarketType: spot", "MarketType: spott", "spot:", "unknown value spott (did you mean spot?)"),
    (
        "BlockDeviceMappings:",
        "BlockDeviceMapings:",
        "BlockDeviceMapings:",
        "(did you mean BlockDeviceMappings?)",
    ),
    ("Encrypted: true", "Encrypted: 'yes'", "Ebs:", "Encrypted: expected a boolean, got 'yes'"),
    (
        "idle_timeout_minutes",
        "idle_timeout_minute",
        "idle_timeout_minute:",
        "(did you mean idle_timeout_minutes?)",
    ),
    ("max_workers: 6", "max_workers: six", "max_workers:", "'six' is not of type 'integer'"),
    ("head_node_type: head", "head_node_type: haed", "", "`head_node_type`"),
    ("./src", "./sorce", "/home/ray/app/src:", "./sorce, to be copied to the nodes, does not exist"),
]


@pytest.mark.parametrize(("right", "wrong", "place_in_file", "message"), MISTAKES)
def test_problem_names_its_line(right: str, wrong: str, place_in_file: str, message: str) -> None:
    text = filled()
    assert right in text
    found = [line for line in said(text.replace(right, wrong, 1)) if message in line]
    assert found, said(text.replace(right, wrong, 1))
    assert found[0].startswith(place_in_file)


def test_all_problems_are_listed_at_once() -> None:
    text = filled()
    mistakes = MISTAKES[2::3]
    for right, wrong, _, _ in mistakes:
        text = text.replace(right, wrong, 1)
    found = "\n".join(said(text))
    assert [message for *_, message in mistakes if message not in found] == []


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0, "does not exist (make token)"),
        ("\n", 0o600, "is empty (make token)"),
        ("x", 0o644, "has mode 0644; other users can read it (chmod 600 "),
    ],
)
@pytest.mark.parametrize("name", ["ray_auth_token", "api_keys"])
def test_secrets_must_exist_and_be_private(
    place: Path, name: str, content: str | None, mode: int, message: str
) -> None:
    secret = place / "secrets" / name
    secret.unlink()
    if content is not None:
        secret.write_text(content)
        secret.chmod(mode)
    (problem,) = said(filled())
    assert message in problem


def test_aws_cli_must_be_installed(place: Path) -> None:
    (place / "bin" / "aws").unlink()
    assert "aws is not installed" in said(filled())[0]


def test_missing_boto3_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert said(filled()) == [" -> boto3 is not installed (make setup, or .venv/bin/pip install boto3)"]


OWN = {
    "[10.0.0.11, 10.0.0.12]": ("[10.0.0.11, 10.0.0.11]", "10.0.0.11 is listed twice"),
    "[10.0.0.11, ": ("[10.0.0.999, ", "10.0.0.999 is not an IP address"),
    "&head 10.0.0.10": ("&head 10.0.0.12", "10.0.0.12 is listed twice"),
    "/key #": ("/no-key #", "no-key does not exist"),
}


@pytest.mark.parametrize("right", OWN)
def test_local_cluster_problems_name_their_line(right: str) -> None:
    text = filled("cluster.local.yaml")
    assert right in text
    found = said(text.replace(right, OWN[right][0], 1), "cluster.local.yaml")
    assert len(found) == 1
    assert OWN[right][1] in found[0]


# --- as typed ---


def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ray_jobs.cluster.config_file", *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": str(Path.cwd() / "bin")},
    )


@pytest.mark.slow
def test_stack_outputs_fill_the_file(place: Path) -> None:
    file = place / "cluster.yaml"
    file.write_text((ROOT / "cluster.yaml").read_text())
    refused = run("cluster.yaml")
    assert refused.returncode == 2
    assert "line 11:  region is not filled in  (such as us-east-1)" in refused.stderr
    assert "| python -m ray_jobs.cluster.config_file cluster.yaml --fill" in refused.stderr
    assert run("cluster.yaml", "--store").stdout == "\n"
    outputs = json.dumps([{"OutputKey": key, "OutputValue": value} for key, value in OUTPUTS.items()])
    done = run("cluster.yaml", "--fill", given=outputs)
    assert (done.returncode, done.stdout) == (0, "cluster.yaml: complete\n"), done.stderr
    assert run("cluster.yaml", "--store").stdout == "s3://bucket\n"
    assert file.read_text() == filled()


def test_invalid_stack_outputs_are_rejected(place: Path) -> None:
    (place / "cluster.yaml").write_text((ROOT / "cluster.yaml").read_text())
    refused = run("cluster.yaml", "--fill", given="An error occurred")
    assert refused.returncode == 2
    assert "expected a stack's outputs as JSON, got 'An error occurred'" in refused.stderr


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is not YAML"), ("", "has no keys"), (None, "cluster.yaml does not exist")]
)
def test_invalid_cluster_file_is_rejected(place: Path, text: str | None, message: str) -> None:
    if text is not None:
        (place / "cluster.yaml").write_text(text)
    refused = run("cluster.yaml")
    assert refused.returncode == 2
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
