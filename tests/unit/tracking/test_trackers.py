import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.places import ROOT
from tests.support.wandb_records import read_records
from tweetelm.config.train_config import TrackingConfig, TrainConfig
from tweetelm.tracking.trackers import History, Trackers, open_trackers, read_history
from tweetelm.tracking.wandb_settings import has_api_key, run_id, wandb_id, wandb_mode
from tweetelm.tracking.weights_biases import WandB

WARNING = "tweetelm.tracking.weights_biases"

TRAIN = """
import sys
from pathlib import Path
from tweetelm.config.train_config import TrackingConfig, TrainConfig
from tweetelm.tracking.trackers import open_trackers

folder, begin, end, how = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
config = TrainConfig(task="hate", name="my-run", tracking=TrackingConfig(project="tweets", group="search"))
tracker = open_trackers(config, folder, begin, api_key_present=False)
for step in range(begin + 1, end + 1):
    tracker.log({"loss": 1 / step, "tweets_per_second": 10.0}, step)
if how == "finish":
    tracker.finish({"macro_f1": 0.5})
if how == "leave":
    tracker.leave()
    import os
    os._exit(1)  # Ray terminates workers in this way
"""


PUBLISH = """
import sys
from pathlib import Path
from tweetelm.config.train_config import TrackingConfig, TrainConfig
from tweetelm.tracking.weights_biases import open_wandb

run, version = Path(sys.argv[1]), Path(sys.argv[2])
tracking = TrackingConfig(entity="team", tags=("first", "try"))
config = TrainConfig(task="hate", name="my-run", tracking=tracking)
tracker = open_wandb(config, run, api_key_present=False)
card = {"data": {"md5": "0123abcd", "root": "data"}, "metrics": {"test": {"macro_f1": 0.5}}}
tracker.table("worst_errors", ("split", "row"), [("test", 7), ("test", 9)])
tracker.figure("parallel_coordinates", "<svg/>")
tracker.publish(version, "20261122-aa", "hate", card, True)
tracker.finish({"test_macro_f1": 0.5})
"""


def train(folder: Path, begin: int, end: int, how: str) -> None:
    """Run steps `begin` to `end` in a process; without "finish", it exits like a failed run."""
    python(folder, TRAIN, str(folder / "run"), str(begin), str(end), how)


def python(folder: Path, script: str, *arguments: str) -> None:
    source = ROOT / "src"
    # WANDB_SERVICE must be unset: it would connect the run to the wandb service of the test process.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(source), "WANDB_ERROR_REPORTING": "false"}
    command = [sys.executable, "-c", script, *arguments]
    subprocess.run(command, check=arguments[-1] != "leave", env=environment, capture_output=True)


def wandb_files(folder: Path) -> list[dict[str, Any]]:
    """The contents of wandb's offline files of a run, oldest first."""
    files: list[dict[str, Any]] = []
    for path in sorted(
        (folder / "run" / "wandb").glob("offline-run-*/*.wandb"), key=lambda p: p.stat().st_mtime
    ):
        records = read_records(path)
        run = next(record.run for record in records if record.HasField("run"))
        rows = [row.history for row in records if row.HasField("history")]
        summaries = [u for record in records if record.HasField("summary") for u in record.summary.update]
        files.append(
            {
                "run": run,
                "config": {item.key: json.loads(item.value_json) for item in run.config.update},
                "loss": {row.step.num: _value(row, "loss") for row in rows},
                "artifacts": {r.artifact.type: r.artifact for r in records if r.HasField("artifact")},
                "left": any(record.HasField("preempting") for record in records),
                "exit": [record.exit.exit_code for record in records if record.HasField("exit")],
                "summary": {u.key or u.nested_key[0]: json.loads(u.value_json) for u in summaries},
            }
        )
    return files


def _value(row: Any, key: str) -> Any:
    found = [json.loads(item.value_json) for item in row.item if key in (item.key, *item.nested_key)]
    return found[0] if found else None


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped after step 5 and resumed from the checkpoint of step 3."""
    folder = tmp_path_factory.mktemp("resumed")
    train(folder, 0, 5, "vanish")
    train(folder, 3, 7, "finish")
    return folder


@pytest.mark.slow
def test_wandb_gets_steps_config_and_summary(resumed: Path) -> None:
    _, second = wandb_files(resumed)
    assert second["run"].project == "tweets"
    assert second["run"].run_group == "search"
    assert second["run"].display_name == "my-run"
    assert second["config"]["optim"]["beta2"] == TrainConfig(task="hate").optim.beta2
    assert second["loss"] == {step: pytest.approx(1 / step) for step in (4, 5, 6, 7)}
    assert second["summary"]["macro_f1"] == 0.5


@pytest.mark.slow
def test_same_name_resumes_the_wandb_run(resumed: Path) -> None:
    first, second = wandb_files(resumed)
    assert first["run"].run_id == second["run"].run_id
    assert re.fullmatch("my-run-[0-9a-f]{10}", first["run"].run_id)
    assert sorted(first["loss"]) == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_run_that_leaves_has_written_all_and_is_not_finished(tmp_path: Path) -> None:
    train(tmp_path, 0, 5, "leave")
    train(tmp_path, 5, 7, "finish")
    first, second = wandb_files(tmp_path)
    assert sorted(first["loss"]) == [1, 2, 3, 4, 5]
    assert (first["left"], first["exit"]) == (True, [1])
    assert (second["left"], second["exit"]) == (False, [0])
    history = read_history(tmp_path / "run" / "history.jsonl")
    assert [line.get("step") for line in history] == [1, 2, 3, 4, 5, 6, 7, None]


@pytest.mark.slow
def test_published_version_is_a_wandb_artifact(tmp_path: Path) -> None:
    train(tmp_path, 0, 2, "finish")
    version = tmp_path / "version"
    (version / "evaluation").mkdir(parents=True)
    (version / "model.safetensors").write_bytes(b"weights")
    (version / "evaluation" / "metrics.json").write_text("{}")
    python(tmp_path, PUBLISH, str(tmp_path / "run"), str(version))
    first, second = wandb_files(tmp_path)
    assert first["run"].run_id == second["run"].run_id
    model, data = second["artifacts"]["model"], second["artifacts"]["dataset"]
    assert {entry.path for entry in model.manifest.contents} == {
        "model.safetensors",
        "evaluation/metrics.json",
    }
    assert {"20261122-aa", "served"} <= set(model.aliases)
    assert [entry.ref for entry in data.manifest.contents] == ["dvc://hate/0123abcd"]
    assert not any(entry.local_path for entry in data.manifest.contents)
    assert second["summary"]["test_macro_f1"] == 0.5
    assert (second["run"].entity, list(second["run"].tags)) == ("team", ["first", "try"])
    (folder,) = {path.parent for path in tmp_path.glob("run/wandb/offline-run-*/files/media/table/*.json")}
    (table,) = [json.loads(path.read_text()) for path in folder.iterdir()]
    assert (table["columns"], table["data"]) == (["split", "row"], [["test", 7], ["test", 9]])
    (figure,) = folder.parent.glob("html/*.html")
    assert "<svg/>" in figure.read_text()


@pytest.mark.slow
def test_resumed_history_equals_uninterrupted(resumed: Path, tmp_path: Path) -> None:
    train(tmp_path, 0, 7, "finish")
    expected = (tmp_path / "run" / "history.jsonl").read_text()
    assert (resumed / "run" / "history.jsonl").read_text() == expected
    assert len(expected.splitlines()) == 8


def test_each_line_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    history = History(tmp_path / "run" / "history.jsonl", 0)
    history.log({"loss": 0.5}, 1)
    assert read_history(tmp_path / "run" / "history.jsonl") == [{"step": 1, "loss": 0.5}]
    history.finish({})


def test_resuming_drops_later_steps_a_torn_line_and_the_summary(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"summary": {}}\n{"step": 2, "lo')
    history = History(path, 2)
    history.log({"loss": 1.0}, 3)
    history.finish({"best": 1})
    assert (
        path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "loss": 1.0}\n{"summary": {"best": 1}}\n'
    )


def test_a_fresh_run_starts_an_empty_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1}\n')
    History(path, 0).finish({})
    assert read_history(path) == [{"summary": {}}]


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl", 0)
    history.log({"loss": float("nan"), "norm": float("inf")}, 1)
    history.finish({"best": [float("nan")]})
    assert read_history(tmp_path / "history.jsonl") == [
        {"step": 1, "loss": None, "norm": None},
        {"summary": {"best": [None]}},
    ]


@pytest.mark.parametrize(
    ("wandb", "key", "mode"),
    [
        ("auto", True, "online"),
        ("auto", False, "offline"),
        ("online", False, "online"),
        ("offline", True, "offline"),
        ("off", True, None),
    ],
)
def test_the_wandb_mode_follows_the_configuration_and_the_key(
    wandb: Any, key: bool, mode: str | None
) -> None:
    assert wandb_mode(TrackingConfig(wandb=wandb), key) == mode


@pytest.mark.parametrize(
    ("config", "environ", "mode"),
    [
        ("auto", {"WANDB_MODE": "offline", "WANDB_API_KEY": "k"}, "offline"),
        ("online", {"WANDB_MODE": "dryrun"}, "offline"),
        ("online", {"WANDB_MODE": "disabled"}, None),
        ("auto", {"WANDB_MODE": "Disabled"}, None),
        ("online", {"WANDB_DISABLED": "true"}, None),
        ("auto", {"WANDB_DISABLED": "false", "WANDB_API_KEY": "k"}, "online"),
        ("auto", {"WANDB_MODE": "online"}, "online"),
        ("off", {"WANDB_MODE": "online"}, None),
        ("auto", {"WANDB_API_KEY": ""}, "offline"),
        ("auto", {"WANDB_API_KEY": " ", "WANDB_MODE": ""}, "offline"),
        ("online", {"WANDB_MODE": "nonsense"}, "offline"),
    ],
)
def test_the_own_variables_of_wandb_win(
    config: Any, environ: dict[str, str], mode: str | None, tmp_path: Path
) -> None:
    given = {"HOME": str(tmp_path), "WANDB_DIR": str(tmp_path), **environ}
    assert wandb_mode(TrackingConfig(wandb=config), has_api_key(given), given) == mode


def test_the_settings_files_of_wandb_win_over_auto(tmp_path: Path) -> None:
    given = {"HOME": str(tmp_path), "WANDB_DIR": str(tmp_path / "here")}
    user, here = tmp_path / ".config" / "wandb" / "settings", tmp_path / "here" / "wandb" / "settings"
    for file, word, mode in ((user, "disabled", None), (here, "online", "online"), (here, "[", "offline")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[default]\nmode = {word}\n" if word != "[" else word)
        assert wandb_mode(TrackingConfig(), False, given) == mode
    assert wandb_mode(TrackingConfig(wandb="online"), False, given) == "online"


def test_disabled_writes_nothing_of_wandb(tmp_path: Path) -> None:
    config = TrainConfig(task="hate")
    for environ in ({"WANDB_MODE": "disabled"}, {"WANDB_DISABLED": "true"}):
        open_trackers(config, tmp_path, 0, api_key_present=True, environ=environ).finish({})
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]


def test_with_wandb_off_only_the_history_is_written(tmp_path: Path) -> None:
    config = TrainConfig(task="hate", tracking=TrackingConfig(wandb="off"))
    open_trackers(config, tmp_path, 0, api_key_present=True).finish({})
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]


def test_a_run_id_is_made_of_name_and_place() -> None:
    assert wandb_id("my-run", "s3://a/runs").startswith("my-run-")
    names = ("my/run", "my:run", "my-run", "x" * 200, "x" * 201)
    assert len({wandb_id(name, place) for name in names for place in ("s3://a/runs", "s3://b/runs")}) == 10


def test_runs_of_one_name_in_two_places_have_two_ids(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (run_id("hate", str(tmp_path / name), tmp_path / name) for name in ("a", "b"))
    assert first != second
    assert run_id("hate", str(tmp_path / "a"), tmp_path / "a") == first
    urls = [run_id("hate", url, tmp_path) for url in ("s3://a/hate", "s3://b/hate", "s3://a/hate")]
    assert urls[0] == urls[2] != urls[1]


def test_a_damaged_run_id_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "wandb-id").write_bytes(b"\xff\n\n/")
    found = run_id("hate", str(tmp_path), tmp_path)
    assert re.fullmatch("hate-[0-9a-f]{10}", found)
    assert run_id("hate", str(tmp_path), tmp_path) == found


def track(folder: Path, mode: Any = "offline") -> Trackers:
    history = History(folder / "history.jsonl", 0)
    wandb = WandB(mode=mode, tracking=TrackingConfig(), id="r-1", name="r", folder=folder, config={})
    trackers = Trackers([history, wandb])
    for step in (1, 2):
        trackers.log({"loss": 1.0}, step)
    trackers.finish({"best": 1})
    return trackers


def test_without_wandb_the_run_goes_on_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    track(tmp_path)
    assert len(read_history(tmp_path / "history.jsonl")) == 3
    assert [r.getMessage() for r in caplog.records if r.name == WARNING] == [
        "wandb is not installed; metrics are written to history.jsonl only; run `pip install wandb`"
    ]


def test_wandb_start_failure_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    track(tmp_path, mode="no such mode")
    assert len(read_history(tmp_path / "history.jsonl")) == 3
    (record,) = [r for r in caplog.records if r.name == WARNING]
    assert re.fullmatch(
        r"wandb failed to start \(.+\); training continues, history.jsonl has all metrics",
        record.getMessage(),
    )
    assert record.exc_info is None


class BrokenRun:
    """A wandb run with a lost connection."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        raise ConnectionError("gone")


def test_later_wandb_failure_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = SimpleNamespace(init=lambda **_: BrokenRun(), Settings=lambda **_: None, setup=lambda **_: None)
    monkeypatch.setitem(sys.modules, "wandb", broken)
    track(tmp_path)
    assert len(read_history(tmp_path / "history.jsonl")) == 3
    messages = [r.getMessage() for r in caplog.records if r.name == WARNING]
    assert messages == [
        "wandb failed to log (ConnectionError: gone); training continues, history.jsonl has all metrics"
    ]
