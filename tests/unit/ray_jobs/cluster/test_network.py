"""What makes several machines one cluster, as far as it can be seen on one."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest
import ray
import yaml

from ray_jobs.cluster.stop_workers import stop_command
from ray_jobs.fault_tolerance.torch_backend import name_interface
from tests.support.places import ROOT

GLOO = "GLOO_SOCKET_IFNAME"


def test_gloo_uses_the_ray_nodes_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GLOO, "")
    del os.environ[GLOO]
    name_interface()
    addresses = [one.address for one in psutil.net_if_addrs()[os.environ[GLOO]]]
    assert ray.util.get_node_ip_address() in addresses


def test_given_interface_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GLOO, "chosen")
    name_interface()
    assert os.environ[GLOO] == "chosen"


def local() -> dict[str, object]:
    config: dict[str, object] = yaml.safe_load((ROOT / "cluster.local.yaml").read_text())
    return config


def test_stop_workers_reports_unreachable_hosts(tmp_path: Path) -> None:
    """The line is run by a shell in which `ray` and `ssh` only say what they were asked; one host is off."""
    config = local()
    config["provider"] = {"type": "local", "worker_ips": ["10.0.0.11", "10.0.0.12"]}
    for name, script in (("ray", "echo ray $*"), ("ssh", "echo $*; case $* in *.12*) exit 255; esac")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", stop_command(config)], env=env, capture_output=True, text=True, check=True
    )
    first, *others = done.stdout.splitlines()
    assert first == "ray stop"
    assert sorted(line.split("@")[1].split()[0] for line in others) == ["10.0.0.11", "10.0.0.12"]
    assert all("ray stop" in line for line in others)
    assert done.stderr.strip() == "cannot stop Ray on 10.0.0.12"


def test_cloud_needs_only_ray_down() -> None:
    assert stop_command(yaml.safe_load((ROOT / "cluster.yaml").read_text())) == ""
