import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve.settings import Settings, UserConfig, read
from tests.support.places import ROOT

CONFIG = ROOT / "serve" / "config.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return loaded


def test_ray_serve_accepts_config_yaml(config: dict[str, Any]) -> None:
    from ray.serve.schema import ServeDeploySchema

    deployed = ServeDeploySchema(**config)
    assert [app.route_prefix for app in deployed.applications] == ["/"]


def test_service_binds_loopback_by_default(config: dict[str, Any]) -> None:
    assert config["http_options"]["host"] == "127.0.0.1"  # Ray's default binds every interface


def test_api_deadline_is_shorter_than_ray_serves(config: dict[str, Any]) -> None:
    assert Settings().limits.deadline_s < config["http_options"]["request_timeout_s"]


def test_config_yaml_has_valid_import_path_and_args(config: dict[str, Any]) -> None:
    (app,) = config["applications"]
    module, name = app["import_path"].split(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert read(app["args"]).tasks == ("hate", "deepfake")


@pytest.mark.parametrize(
    "args", [{"registri": "models"}, {"tasks": ["../spam"]}, {"cpus": 0}, {"min_replicas": -1}]
)
def test_invalid_argument_is_rejected(args: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(args))):
        read({"tasks": ["hate"], **args})


def test_limits_can_be_set_in_the_file() -> None:
    assert read({"tasks": ["hate"], "limits": {"inputs": 8}}).limits.inputs == 8


def test_empty_registry_error_names_url_and_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}.*python -m ray_jobs.train"):
        read({"registry": str(tmp_path)})


def test_misspelled_user_config_is_rejected() -> None:
    assert UserConfig(versions={"hate": "20261121-abcdef"}).reload is None
    with pytest.raises(ValueError, match="version"):
        UserConfig(**{"version": {}})
