"""Averaging of weights: the mean, what is validated and saved, exact resume."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file

from tests.support.training_runs import CPU, changed, configuration, fresh, rows, run, weights
from tweetelm.config.train_config import TrainConfig
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.training.loop import fit
from tweetelm.training.phases import plan
from tweetelm.training.state import STATE_FILE, TrainingState
from tweetelm.training.strategy import DataParallel

DATA = rows(60)
METRIC = {"accuracy": 0.5}


def averaging(share: float = 0.5, mode: str = "full", **loop: Any) -> TrainConfig:
    config = configuration(average=share, **loop)
    return changed(config, optim={"mode": mode, "lora_rank": 4}, model={"dropout": 0.2})


def raw_weights(state: TrainingState, config: TrainConfig) -> list[torch.Tensor]:
    """The weights after each step."""
    steps = fit(state, DATA, config, strategy=CPU, scorer=lambda _: METRIC, metric="accuracy")
    return [weights(state).clone() for _ in steps]


def mean_weights(state: TrainingState) -> torch.Tensor:
    with state.averaged():
        return weights(state).clone()


@pytest.mark.parametrize(("share", "count"), [(0.5, 4), (1.0, 8), (0.01, 1)])
def test_it_is_the_mean_of_the_last_weights(share: float, count: int) -> None:
    config = averaging(share)
    state = fresh(config)
    each = raw_weights(state, config)
    assert (len(each), state.progress.averaged) == (8, count)
    expected = torch.stack(each[-count:]).double().mean(0)
    assert torch.allclose(mean_weights(state).double(), expected, atol=1e-7)
    assert torch.equal(weights(state), each[-1]), "the model has its raw weights again"


def test_training_itself_is_not_changed() -> None:
    with_mean, without = averaging(), averaging(0.0)
    states = fresh(with_mean), fresh(without)
    for a, b in zip(raw_weights(states[0], with_mean), raw_weights(states[1], without), strict=True):
        assert torch.equal(a, b)
    assert states[1].progress.averaged == 0


def test_only_classification_is_averaged() -> None:
    config = changed(averaging(1.0), pretrain={"epochs": 1})
    before, phase = plan(DATA.lengths, config).phases
    state = fresh(config)
    run(state, DATA, config, steps=before.end)
    assert state.progress.averaged == 0
    run(state, DATA, config)
    assert state.progress.averaged == len(phase.steps)


def test_validation_sees_the_mean_once_it_began() -> None:
    config, seen = averaging(0.5, validate_every=1), []

    def scorer(model: torch.nn.Module) -> dict[str, float]:
        seen.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        return METRIC

    state = fresh(config)
    pairs = []
    for _ in fit(state, DATA, config, strategy=CPU, scorer=scorer, metric="accuracy"):
        pairs.append((weights(state).clone(), mean_weights(state)))
    first = len(pairs) - state.progress.averaged
    for step, (raw, mean) in enumerate(pairs):
        assert torch.equal(seen[step], raw if step < first else mean)
    assert not torch.equal(pairs[-1][0], pairs[-1][1])


@pytest.mark.parametrize("mode", ["full", "head", "lora"])
def test_a_checkpoint_is_the_averaged_model(tmp_path: Path, mode: str) -> None:
    config = averaging(mode=mode)
    state = fresh(config)
    run(state, DATA, config)
    state.save(tmp_path, {})
    loaded = OpenELMForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = torch.tensor([DATA.sequences([3])[0]])
    state.model.eval()
    raw = state.model(input_ids=ids).logits
    with state.averaged():
        mean = state.model(input_ids=ids).logits
    logits = loaded(input_ids=ids).logits
    assert torch.allclose(logits, mean, atol=1e-6)
    assert not torch.allclose(logits, raw, atol=1e-5)


@pytest.mark.parametrize("mode", ["full", "head", "lora"])
@pytest.mark.parametrize("stop_after", [2, 4, 6])  # averaging begins after step 4
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, mode: str, stop_after: int) -> None:
    config = averaging(mode=mode, validate_every=3)
    assert plan(DATA.lengths, config).phases[0].average_after == 4
    straight, interrupted, resumed = fresh(config), fresh(config), fresh(config)
    run(straight, DATA, config)
    run(interrupted, DATA, config, steps=stop_after)
    interrupted.save(tmp_path, {})
    resumed.restore(tmp_path)
    assert torch.equal(weights(interrupted), weights(resumed))
    run(resumed, DATA, config)
    assert torch.equal(weights(straight), weights(resumed))
    assert torch.equal(mean_weights(straight), mean_weights(resumed))
    assert resumed.progress == straight.progress


def test_a_checkpoint_of_an_older_version_resumes(tmp_path: Path) -> None:
    config = averaging()
    state, resumed = fresh(config), fresh(config)
    run(state, DATA, config, steps=2)
    state.save(tmp_path, {})
    document = json.loads((tmp_path / STATE_FILE).read_text())
    del document["progress"]["averaged"]
    (tmp_path / STATE_FILE).write_text(json.dumps(document))
    resumed.restore(tmp_path)
    assert resumed.progress == state.progress


def work(rank: int, folder: Path) -> None:
    """One of two workers, in a process of its own."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    config, device = averaging(validate_every=3), torch.device("cpu")
    state, strategy = fresh(config), DataParallel(device=device, rank=rank, world=2)
    for _ in fit(state, DATA, config, strategy=strategy, scorer=lambda _: METRIC, metric="accuracy"):
        pass
    save_file({"mean": mean_weights(state), "raw": weights(state)}, folder / f"{rank}.safetensors")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_have_the_same_mean(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(work, (tmp_path,), nprocs=2)
    one, two = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert torch.equal(one["mean"], two["mean"])
    assert not torch.equal(one["mean"], one["raw"])
