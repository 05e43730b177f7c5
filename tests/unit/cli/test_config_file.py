"""`--config FILE`: settings from YAML, flags that win, errors that name the key."""

import sys
from pathlib import Path

import pytest

from ray_jobs import train, tune
from ray_jobs.run_dir import CONFIG_FILE, claim
from tests.support.own_tasks import init_task, write_csv
from tweetelm.cli import command
from tweetelm.config.overrides import override
from tweetelm.config.train_config import RunConfig, TrainConfig

RUN = """
task: hate
data: {root: sample, drop_overlap: false}
optim:
  lr: 1e-4
loop.batch-tokens: 512
loop: {patience: null, epochs: 2}
"""


def parse(file: Path, *words: str, arguments: type = train.Arguments) -> TrainConfig:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", "--config", str(file), *words])
        config = command.parse(arguments, module="ray_jobs.train").config
        assert isinstance(config, TrainConfig)
        return config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


def test_nested_and_dotted_keys_are_read(file: Path) -> None:
    changes = {
        "data.root": "sample",
        "data.drop_overlap": False,
        "optim.lr": 1e-4,
        "loop.batch_tokens": 512,
        "loop.epochs": 2,
    }
    assert parse(file) == override(TrainConfig(task="hate"), changes)


def test_flags_win_over_the_file(file: Path) -> None:
    config = parse(file, "--optim.lr", "3e-5", "--data.drop-overlap", "--task=deepfake")
    assert (config.optim.lr, config.data.drop_overlap, config.task.name) == (3e-5, True, "deepfake")
    assert config.loop.epochs == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: hate\noptim: {lrr: 1}", r"run\.yaml: optim\.lrr is unknown; did you mean optim\.lr\?"),
        ("task: hate\ndata: {drop_overlap: maybe}", r"data\.drop-overlap is 'maybe'; expected true or false"),
        ("task: hate\nname: [a, b]", r"name is a list; expected one value"),
        ("- task", r"run\.yaml has no settings; expected lines such as `task: hate`"),
        ("", r"run\.yaml has no settings"),
        ("task: [hate", r"run\.yaml is not YAML: while parsing"),
    ],
)
def test_bad_file_error_names_key_and_value(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        parse(file)


def test_missing_file_and_flag_value_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.yaml does not exist; expected a YAML file"):
        parse(tmp_path / "nowhere.yaml")
    with pytest.raises(ValueError, match="--config needs one file"):
        parse(tmp_path / "nowhere.yaml", "--config", "another.yaml")


@pytest.mark.parametrize("own", [False, True])
def test_config_of_a_run_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    monkeypatch.chdir(tmp_path)
    task = str(init_task(write_csv(tmp_path / "mine.csv", ("a", "b", "c"), 20))) if own else "hate"
    changes = {
        "optim.lr": 1e-05,
        "text.mask_links": False,
        "data.limit": 40,
        "run.gpu": "no",
        "model.name": "scratch-1m",
        "tracking.wandb": "off",
    }
    base = TrainConfig(task=task, name="first", run=RunConfig(storage=str(tmp_path / "runs")))
    config = override(base, changes)
    claim(config, {"trials": 4})
    written = (tmp_path / "runs" / "first" / CONFIG_FILE).read_text().replace("trials: 4\n", "")
    (tmp_path / "again.yaml").write_text(written)
    assert parse(tmp_path / "again.yaml", "--name", "first") == config


def test_config_of_a_search_has_its_flags(tmp_path: Path) -> None:
    base = TrainConfig(task="hate", name="s", run=RunConfig(storage=str(tmp_path / "runs")))
    claim(base, {"space": "tiny", "trials": 4, "prefer": "cost"}, trials=4)
    with pytest.MonkeyPatch.context() as patch:
        file = str(tmp_path / "runs" / "s" / CONFIG_FILE)
        patch.setattr(sys, "argv", ["tune", "--config", file, "--trials", "5"])
        found = command.parse(tune.Arguments, module="ray_jobs.tune")
    assert (found.space, found.trials, found.prefer) == ("tiny", 5, "cost")
