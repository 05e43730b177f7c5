"""`tweetelm.fine_tune` and `publish`: the training loop of `tweetelm train`, in this process."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import tweetelm
from tests.support.own_tasks import init_task, write_csv
from tweetelm.api.fine_tune import FineTuned, configuration
from tweetelm.config.train_config import TrainConfig
from tweetelm.evaluation.validation import Scorer
from tweetelm.predictor import Predictor
from tweetelm.registry import read_card
from tweetelm.training.build_classifier import build_state
from tweetelm.training.loop import fit
from tweetelm.training.prepare import prepare
from tweetelm.training.strategy import DataParallel

pytestmark = pytest.mark.slow

FAST = {"root": "sample", "epochs": 2, "batch_tokens": 512, "limit": 60, "max_tokens": 48}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> FineTuned:
    folder = tmp_path_factory.mktemp("fine-tuned") / "run"
    return tweetelm.fine_tune("hate", folder=folder, device="cpu", progress=False, **FAST)


def test_the_result_has_model_evaluation_and_folder(trained: FineTuned) -> None:
    assert trained.model.predict("a Vorn moved in next door").label in trained.model.labels
    assert list(trained.evaluation.splits) == ["validation", "test"]
    assert trained.model.temperature == trained.card.temperature == trained.evaluation.temperature
    assert {path.name for path in trained.folder.iterdir()} == {"checkpoint", "evaluation", "card.json"}
    assert (trained.folder / "evaluation" / "report.html").is_file()
    assert repr(trained).startswith("FineTuned(hate-scratch-1m-")
    assert "\n" not in repr(trained)


def test_the_checkpoint_is_that_of_the_loop(trained: FineTuned) -> None:
    config = configuration("hate", "scratch-1m", FAST)
    assert isinstance(config, TrainConfig)
    prepared, strategy = prepare(config), DataParallel(device=torch.device("cpu"))
    state = build_state(config, prepared, strategy.device)
    scorer = Scorer(rows=prepared.validation, config=config, strategy=strategy)
    weights: dict[str, Any] = {}
    for report in fit(state, prepared.train, config, strategy=strategy, scorer=scorer, metric="macro_f1"):
        if report.improved:
            weights = {name: value.clone() for name, value in state.model.state_dict().items()}
    stored = load_file(trained.folder / "checkpoint" / "model.safetensors")
    assert stored.keys() == weights.keys()
    assert all(torch.equal(stored[name], weights[name]) for name in weights)


def test_a_published_model_predicts_the_same(trained: FineTuned, tmp_path: Path) -> None:
    place = str(tmp_path / "models")
    published = tweetelm.publish(trained, registry=place)
    assert published.promoted
    model = tweetelm.load("hate", registry=place, device="cpu", precision="float32")
    assert model.version == published.version
    texts = ["a Vorn moved in next door", "Zorblaxians are worse than space rats", ""]
    assert model.predict(texts) == trained.model.predict(texts)
    assert read_card("hate", registry=place).metrics == trained.card.metrics
    assert tweetelm.publish(trained, registry=place).version == published.version


def test_the_checkpoint_alone_is_loaded(trained: FineTuned) -> None:
    model = Predictor.load(trained.folder / "checkpoint", device="cpu")
    assert model.predict("cake").label == trained.model.predict("cake").label


def test_a_second_call_replaces_its_own_folder_only(
    trained: FineTuned, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = (trained.folder / "checkpoint" / "model.safetensors").read_bytes()
    again = tweetelm.fine_tune("hate", folder=trained.folder, device="cpu", **FAST)
    assert (again.folder / "checkpoint" / "model.safetensors").read_bytes() == before
    out = capsys.readouterr().out
    assert "step 1/" in out
    assert "validation macro_f1" in out
    assert "report in " in out
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"is no result of fine_tune; .* folder="):
        tweetelm.fine_tune("hate", folder=tmp_path, **FAST)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failed_call_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"lower --optim\.lr"):
        tweetelm.fine_tune(
            "hate", folder=tmp_path / "run", progress=False, **FAST | {"lr": 1e30, "clip": 1e30}
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": 1}, r"no setting 'epoch'; did you mean epochs\?"),
        ({"zzz": 1}, "no setting 'zzz'; `tweetelm train --help-all` lists all"),
        ({"run_workers": 2}, "run_workers is a setting of `tweetelm train`, without effect here"),
        ({"model_name": "scratch-4m"}, "model_name is the argument `model`"),
        ({"epochs": 1, "loop_epochs": 2}, "loop.epochs is given twice; omit one of epochs, loop_epochs"),
        ({"epochs": "3"}, "epochs is '3', a str; expected int"),
        ({"epochs": True}, "epochs is True, a bool; expected int"),
        ({"epochs": 0}, "loop.epochs is 0; expected at least 1"),
        ({"mode": "fully"}, "optim.mode is 'fully'; expected one of 'full'"),
    ],
)
def test_wrong_settings_are_explained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configuration("hate", "scratch-1m", settings)


def test_keywords_are_the_flags_of_the_command() -> None:
    settings = {
        "lr": 1,
        "pretrain_lr": 2e-3,
        "pretrain_epochs": 1,
        "epochs": 4,
        "data_limit": 9,
        "patience": None,
    }
    config = configuration("hate", "scratch-4m", settings)
    assert (config.optim.lr, config.pretrain.lr) == (1, 2e-3)
    assert (config.loop.epochs, config.pretrain.epochs, config.data.limit) == (4, 1, 9)
    assert config.model.name == "scratch-4m"
    assert configuration("hate", "scratch-1m", {"threshold": "validation"}).run.threshold == "validation"
    with pytest.raises(ValueError, match="no task or file 'hats'; expected hate, deepfake"):
        configuration("hats", "scratch-1m", {})


def test_a_task_file_with_three_labels_is_trained_and_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ("against", "favor", "none")
    file = init_task(write_csv(tmp_path / "side.csv", labels, 40))
    settings = {"epochs": 1, "batch_tokens": 512, "max_tokens": 48, "progress": False}
    result = tweetelm.fine_tune(file, device="cpu", **settings)
    assert result.folder.parent == Path("runs/fine-tuned")
    assert set(result.model.labels) == set(labels)
    published = tweetelm.publish(result, registry="models")
    model = tweetelm.load(result.model.task.name, device="cpu")
    assert model.version == published.version
    frame = model.predict_frame(pd.read_csv("side.csv"), text="tweet")
    assert {f"prob_{label}" for label in labels} <= set(frame.columns)
    assert len(model.explain(frame["tweet"][0]).words[0].contributions) == 3
    scores = tweetelm.evaluate(model, file).metrics["test"]
    assert scores["accuracy"] == result.evaluation.metrics["test"]["accuracy"]


@pytest.mark.parametrize("kind", [tuple, list])
def test_unlabeled_tweets_are_a_sequence_of_files(kind: type) -> None:
    settings = {"pretrain_epochs": 1, "pretrain_text": kind(["a.txt", "b.csv"])}
    assert configuration("hate", "scratch-1m", settings).pretrain.text == ("a.txt", "b.csv")
    with pytest.raises(ValueError, match=r"pretrain_text is 'a\.txt', a str; expected tuple or list"):
        configuration("hate", "scratch-1m", {"pretrain_text": "a.txt"})
    with pytest.raises(ValueError, match=r"pretrain\.text has no effect without language modeling"):
        configuration("hate", "scratch-1m", {"pretrain_text": ("a.txt",)})
