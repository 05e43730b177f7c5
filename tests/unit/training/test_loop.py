"""The training loop: gradients independent of how a step is split, exact resume, and learning."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.training_runs import CPU, accuracy, changed, configuration, fresh, rows, run, weights
from tweetelm.config.train_config import OptimConfig
from tweetelm.encoding import Encoded
from tweetelm.openelm.cpu.training_layers import is_fused_for_training
from tweetelm.training.encoded_rows import Rows
from tweetelm.training.loop import fit
from tweetelm.training.optimizer import schedule
from tweetelm.training.phases import plan
from tweetelm.training.sampler import epoch_steps, micro_batches


def test_steps_cover_all_rows_within_the_budget() -> None:
    lengths = rows(200).lengths
    for epoch in range(3):
        steps = epoch_steps(lengths, batch_tokens=256, seed=7, epoch=epoch)
        assert sorted(row for step in steps for row in step) == list(range(200))
        assert all(sum(lengths[row] for row in step) <= 256 for step in steps)
    assert epoch_steps(lengths, batch_tokens=256, seed=7, epoch=0) == epoch_steps(
        lengths, batch_tokens=256, seed=7, epoch=0
    )
    assert epoch_steps(lengths, batch_tokens=256, seed=7, epoch=0) != epoch_steps(
        lengths, batch_tokens=256, seed=7, epoch=1
    )


def test_a_row_longer_than_the_budget_stands_alone() -> None:
    steps = epoch_steps([300, 5, 5], batch_tokens=100, seed=0, epoch=0)
    assert [0] in steps


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_workers_and_portions_share_a_step_without_loss(world: int) -> None:
    lengths = rows(50).lengths
    step = epoch_steps(lengths, batch_tokens=400, seed=0, epoch=0)[0]
    shares = [
        row
        for rank in range(world)
        for portion in micro_batches(step, lengths, rank=rank, world=world, micro_tokens=90)
        for row in portion
    ]
    assert sorted(shares) == sorted(step)


def test_accumulation_does_not_change_the_loss_or_the_weights() -> None:
    data, one, many = rows(60), configuration(), configuration(micro_tokens=64)
    whole, split = fresh(one), fresh(many)
    for a, b in zip(run(whole, data, one), run(split, data, many), strict=True):
        assert a.loss.item() == pytest.approx(b.loss.item(), abs=1e-5)
        assert a.grad_norm.item() == pytest.approx(b.grad_norm.item(), rel=1e-3)
    assert torch.allclose(weights(whole), weights(split), atol=2e-4)


@pytest.mark.parametrize("stop_after", [1, 5, 8])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, stop_after: int) -> None:
    data, config = rows(80), configuration(validate_every=3)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, dropout=0.2))
    straight = fresh(config)
    reports = run(straight, data, config)
    assert stop_after < len(reports)
    interrupted = fresh(config)
    run(interrupted, data, config, steps=stop_after)
    interrupted.save(tmp_path, {})
    resumed = fresh(config)
    resumed.restore(tmp_path)
    rest = run(resumed, data, config)
    assert [r.step for r in rest] == [r.step for r in reports[stop_after:]]
    assert torch.equal(weights(straight), weights(resumed))
    assert resumed.progress == straight.progress


def test_it_overfits_eight_tweets() -> None:
    data = rows(8)
    config = configuration(epochs=60, validate_every=60)
    reports = run(fresh(config), data, config)
    assert reports[-1].scores == {"accuracy": 1.0}
    assert reports[-1].loss.item() < 0.05


@pytest.mark.slow
def test_it_learns_a_rule_and_labels_without_one_stay_at_chance() -> None:
    config = configuration(epochs=12, batch_tokens=1024, micro_tokens=1024)
    unseen = rows(200, seed=1)
    learned = fresh(config)
    run(learned, rows(400), config)
    assert accuracy(unseen)(learned.model)["accuracy"] > 0.9  # type: ignore[operator]
    shuffled = rows(400)
    np.random.default_rng(0).shuffle(shuffled.labels)
    lost = fresh(config)
    run(lost, shuffled, config)
    assert 0.35 < accuracy(unseen)(lost.model)["accuracy"] < 0.65  # type: ignore[operator]


def test_early_stopping_respects_patience() -> None:
    data = rows(40)
    config = configuration(epochs=50, validate_every=1, patience=3)
    state = fresh(config)
    scores = iter([0.5, 0.7, 0.6, 0.7, 0.1, 0.9])
    reports = list(
        fit(state, data, config, strategy=CPU, scorer=lambda _: {"accuracy": next(scores)}, metric="accuracy")
    )
    assert [r.improved for r in reports] == [True, True, False, False, False]
    assert state.progress.best_step == 2
    assert state.progress.stopped


def test_the_head_alone_learns_in_head_mode() -> None:
    data, config = rows(20), configuration(epochs=1)
    config = dataclasses.replace(config, optim=dataclasses.replace(config.optim, mode="head"))
    state = fresh(config)
    before = {name: p.clone() for name, p in state.model.named_parameters()}
    run(state, data, config)
    changed = {name for name, p in state.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"score.weight"}


def test_balanced_class_weights_have_mean_one_over_the_rows() -> None:
    data = Rows.of([Encoded((1,), False)] * 4, [0, 0, 0, 1])
    given = data.class_weights(2)
    assert given == pytest.approx([4 / 6, 2.0])
    assert np.mean([given[label] for label in data.labels]) == pytest.approx(1.0)


def test_layer_decay_lowers_the_rate_toward_the_embedding() -> None:
    config = dataclasses.replace(configuration(), optim=OptimConfig(lr=1.0, layer_decay=0.5))
    state = fresh(config)
    state.enter(plan(rows(8).lengths, config).phases[-1], config.optim)
    rates = {round(group["peak_lr"], 6) for group in state.optimizer.param_groups}
    assert rates == {1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125}


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_the_schedule_warms_up_to_the_peak_and_decays(kind: str) -> None:
    config = OptimConfig(schedule=kind, warmup=0.2)  # type: ignore[arg-type]
    rates = [schedule(config, step, 50) for step in range(50)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[:11] == sorted(rates[:11])
    assert rates[-1] < 0.1 or kind == "constant"


def test_steps_know_their_epoch() -> None:
    (phase,) = plan(rows(80).lengths, configuration()).phases
    assert phase.epoch(phase.ends[0]) == 1.0
    assert phase.epoch(phase.end) == 2.0
    assert 0 < phase.epoch(1) < 1


def test_fused_layers_train_like_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, tweets that start alike are computed once; the order of their labels must follow."""
    data, config = rows(60), changed(configuration(), pretrain={"epochs": 1})
    fused = fresh(config)
    losses = [float(report.loss) for report in run(fused, data, config)]
    monkeypatch.setattr("tweetelm.training.loop.fuse_for_training", lambda model: False)
    plain = fresh(config)
    expected = [float(report.loss) for report in run(plain, data, config)]
    assert is_fused_for_training(fused.model)
    assert not is_fused_for_training(plain.model)
    assert losses == pytest.approx(expected, rel=1e-4)
