"""The cluster files, judged by Ray's own code: validation and the scheduler."""

import copy
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil

from serve.local_server import production
from tests.support.places import ROOT

FILES = ("cluster.yaml", "cluster.local.yaml")
AWS = "cluster.yaml"


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return config


def start_commands(config: dict[str, Any]) -> list[str]:
    commands = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    return [line for line in commands if "ray start" in line]


def check(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as `ray up` completes it. Raises what `ray up` would."""
    full: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(full)
    return full


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_the_file(name: str) -> None:
    assert check(read(name))["cluster_name"].startswith("tweetelm")


@pytest.mark.parametrize("name", FILES)
def test_ray_rejects_the_file_with_a_misspelled_key(name: str) -> None:
    config = read(name)
    config["idle_timeout_minute"] = config.pop("idle_timeout_minutes")
    with pytest.raises(ValidationError, match="idle_timeout_minute"):
        check(config)


@pytest.mark.parametrize("name", FILES)
def test_values_to_fill_in_are_first_and_used(name: str) -> None:
    text = (ROOT / name).read_text()
    anchors = re.findall(r"^  \w+: &(\w+)", text.partition("cluster_name:")[0], re.MULTILINE)
    assert anchors
    assert [anchor for anchor in anchors if f"*{anchor}\n" not in text] == []
    assert text.rindex("FILL-IN") < text.index("cluster_name:")


@pytest.mark.parametrize("name", FILES)
def test_file_mounts_exist_except_secrets(name: str) -> None:
    sources = [s for s in read(name)["file_mounts"].values() if not s.startswith("./secrets/")]
    assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("name", FILES)
def test_every_ray_start_uses_the_token(name: str, home: Path) -> None:
    for command in start_commands(read(name)):
        assert variables(name, command, home)["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("name", FILES)
def test_the_token_reaches_every_node_and_is_private_there(name: str, home: Path) -> None:
    config = read(name)
    (path,) = [path for path, source in config["file_mounts"].items() if source.endswith("ray_auth_token")]
    (private,) = [line for line in config["setup_commands"] if line.startswith("chmod 600 ")]
    assert path in private.split()
    options = " ".join(config.get("docker", {}).get("run_options", []))
    used = variables(name, start_commands(config)[0], home).get("RAY_AUTH_TOKEN_PATH", options)
    assert path.replace("~", str(home)) in used
    assert config["file_mounts"][path].startswith("./secrets/")
    assert "/secrets" in (ROOT / ".gitignore").read_text().split()


@pytest.mark.parametrize("name", FILES)
def test_the_dashboard_listens_on_loopback_only(name: str) -> None:
    head, worker = start_commands(read(name))
    assert "--dashboard-host=127.0.0.1 " in head
    assert "--dashboard-host" not in worker


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_open_to_the_internet(name: str) -> None:
    assert "0.0.0.0" not in (ROOT / name).read_text()
    assert "security_group" not in read(name)["provider"]


def test_nodes_have_private_addresses_and_imdsv2() -> None:
    config = read(AWS)
    assert config["provider"]["use_internal_ips"] is True
    for node_type in config["available_node_types"].values():
        assert node_type["node_config"]["MetadataOptions"]["HttpTokens"] == "required"


def test_libraries_are_installed_with_what_they_need() -> None:
    """A CUDA wheel of torch brings its own libraries, so --no-deps would leave them out."""
    setup = " ".join(read(AWS)["setup_commands"])
    assert "requirements.lock" in setup
    assert "--no-deps" not in setup


def test_container_has_the_projects_ray_and_python() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r"ray\[[\w,]+\]==([\d.]+)", project)
    python = re.search(r'target-version = "(py\d+)"', project)
    assert version
    assert python
    assert read(AWS)["docker"]["image"] == f"rayproject/ray:{version[1]}-{python[1]}-gpu"


# --- what Ray's scheduler would launch ---


WORKERS = ["g6_spot", "g5_spot", "g6_on_demand", "g5_on_demand"]


def launched(request: dict[str, float], failing: Sequence[str] = ()) -> dict[str, int]:
    """Node types and counts that the autoscaler launches for one request, beside the head."""
    config = AutoscalingConfig(read(AWS), skip_content_hash=True)
    demand = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(request)])
    reply = ResourceDemandScheduler(event_logger=None).schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=config.get_node_type_configs(),
            max_num_nodes=config.get_max_num_worker_nodes(),
            resource_requests=demand,
            cloud_resource_availabilities=dict.fromkeys(failing, 0.0),
            recoverable_resource_availabilities=dict.fromkeys(failing, 0.0),
        )
    )
    return {
        launch.instance_type: launch.count for launch in reply.to_launch if launch.instance_type != "head"
    }


def test_idle_cluster_has_no_workers() -> None:
    types = read(AWS)["available_node_types"]
    assert list(types) == ["head", *WORKERS]
    assert all(types[name]["min_workers"] == 0 for name in WORKERS)


@pytest.mark.parametrize("gone", range(len(WORKERS)))
def test_gpu_nodes_prefer_spot_then_on_demand(gone: int) -> None:
    assert launched({"GPU": 1, "CPU": 1}, failing=WORKERS[:gone]) == {WORKERS[gone]: 1}


def test_head_runs_no_tasks() -> None:
    assert read(AWS)["available_node_types"]["head"]["resources"] == {"CPU": 0}
    assert launched({"CPU": 1}) == {"g6_spot": 1}


@pytest.mark.parametrize("name", FILES)
def test_nodes_use_production_settings_of_serve(name: str, home: Path) -> None:
    for command in start_commands(read(name)):
        started = variables(name, command, home)
        assert started.items() >= production().items()
        assert started["RAY_SERVE_ENABLE_HA_PROXY"] == "1"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node's, with the project where either file puts it."""
    for name in ("tweetelm", "app"):
        (tmp_path / name).symlink_to(ROOT)
    return tmp_path


def variables(name: str, command: str, home: Path) -> dict[str, str]:
    """What `ray start` finds in its environment on a node, by its command and by ~/.bashrc."""
    wanted = re.findall(r"echo '(.*)' >> ~/.bashrc", " ".join(read(name)["setup_commands"]))
    (home / ".bashrc").write_text("\n".join(wanted))
    shell = f"source ~/.bashrc; {command.partition('ray start')[0]} env"
    shell = shell.replace("ulimit -n 65536;", "")
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True, env=environment)
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
