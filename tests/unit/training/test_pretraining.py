"""Language modeling before classification: targets, learning, exact resume."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.training_runs import accuracy, changed, configuration, fresh, rows, run, weights
from tweetelm.config.train_config import TrainConfig
from tweetelm.encoding import Encoded
from tweetelm.openelm import OpenELMForCausalLM
from tweetelm.openelm.packing import many_sizes, pack
from tweetelm.training.encoded_rows import Rows, Tweets
from tweetelm.training.objectives import Classification, LanguageModeling, NextToken, next_tokens, objective
from tweetelm.training.phases import plan


def pretrained(**loop: object) -> TrainConfig:
    return changed(configuration(**loop), pretrain={"epochs": 2, "lr": 3e-3})


def counting(count: int) -> Rows:
    """Tweets that count up from a random token, so that each token determines the next."""
    firsts = np.random.default_rng(0).integers(11, 40, size=count)
    return Rows.of([Encoded((1, *range(f, f + 20)), False) for f in firsts], [int(f % 2) for f in firsts])


def test_the_loss_is_the_causal_language_models_own() -> None:
    state, data = fresh(configuration()), rows(40)
    causal = OpenELMForCausalLM._from_config(state.model.config, attn_implementation="varlen")
    causal.transformer.load_state_dict(state.model.transformer.state_dict())
    causal.tie_weights()
    batch = pack(data.sequences(range(40)), sizes=many_sizes)
    assert batch.fillers
    ours = NextToken(state.model.transformer)(next_tokens(batch), **batch.inputs())
    theirs = 0.0
    for ids in data.sequences(range(40)):
        row = torch.tensor([ids])
        theirs += causal(input_ids=row, labels=row).loss.item() * (len(ids) - 1)
    assert ours.item() == pytest.approx(theirs, rel=1e-5)


def test_many_tokens_give_the_same_gradient_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    state, data = fresh(configuration()), rows(6)
    module, gradients = NextToken(state.model.transformer), []
    for chunk in (1024, 7):
        monkeypatch.setattr("tweetelm.training.objectives._CHUNK", chunk)
        module.zero_grad()
        batch = pack(data.sequences(range(6)))
        module(next_tokens(batch), **batch.inputs()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)


def test_it_learns_what_comes_next_and_classification_follows() -> None:
    data, config = counting(60), pretrained()
    reports = run(fresh(config), data, changed(config, pretrain={"epochs": 6}))
    before = [r for r in reports if r.phase == "pretrain"]
    assert before[0].loss.item() > 0.9 * math.log(64)
    assert before[-1].loss.item() < 0.5 * before[0].loss.item()
    assert [r.step for r in reports] == list(range(1, reports[-1].total + 1))
    assert all(r.scores is None for r in before)
    assert reports[-1].phase == "classify"
    assert reports[-1].scores is not None


def test_every_epoch_has_its_own_order_and_every_row_once() -> None:
    first, second = plan(rows(80).lengths, pretrained()).phases
    assert first.end == second.start
    orders = [
        [row for step in phase.steps[start:end] for row in step]
        for phase in (first, second)
        for start, end in zip([0, *phase.ends[:-1]], phase.ends, strict=True)
    ]
    assert all(sorted(order) == list(range(80)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4


@pytest.mark.parametrize("stop_after", ["middle of it", "its end", "after it"])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, stop_after: str) -> None:
    data, config = rows(40), changed(pretrained(epochs=1), model={"dropout": 0.2})
    boundary = plan(data.lengths, config).phases[0].end
    steps = boundary + {"middle of it": -2, "its end": 0, "after it": 2}[stop_after]
    straight, interrupted, resumed = fresh(config), fresh(config), fresh(config)
    run(straight, data, config)
    run(interrupted, data, config, steps=steps)
    interrupted.save(tmp_path, {})
    resumed.restore(tmp_path)
    run(resumed, data, config)
    assert torch.equal(weights(straight), weights(resumed))
    assert resumed.progress == straight.progress


def test_accumulation_does_not_change_it() -> None:
    data, one, many = rows(24), pretrained(epochs=1), pretrained(epochs=1, micro_tokens=64)
    whole, split = fresh(one), fresh(many)
    for a, b in zip(run(whole, data, one), run(split, data, many), strict=True):
        assert a.loss.item() == pytest.approx(b.loss.item(), abs=1e-4)


def test_head_mode_pretrains_all_weights() -> None:
    data, config = rows(40), changed(pretrained(epochs=1), optim={"mode": "head"})
    boundary = plan(data.lengths, config).phases[0].end
    state = fresh(config)
    start = state.model.transformer.layers[0].ffn.proj_1.weight.clone()
    run(state, data, config, steps=boundary)
    middle = state.model.transformer.layers[0].ffn.proj_1.weight.clone()
    assert not torch.equal(start, middle)
    run(state, data, config)
    assert torch.equal(middle, state.model.transformer.layers[0].ffn.proj_1.weight)


def test_an_empty_share_takes_part_with_weight_zero() -> None:
    state, config = fresh(configuration()), configuration()
    goal = LanguageModeling(rows=rows(4), config=config, device=torch.device("cpu"))
    module = goal.module(state.model)
    loss = goal.loss(module, ())
    loss.backward()
    assert loss.item() == 0.0
    assert all(p.grad is not None and not p.grad.any() for p in module.parameters())


@pytest.mark.slow
def test_pretrained_model_learns_the_labels() -> None:
    data = rows(8)
    config = changed(pretrained(epochs=60, validate_every=60))
    state = fresh(config)
    run(state, data, config)
    assert accuracy(data)(state.model) == {"accuracy": 1.0}  # type: ignore[operator]


def unlabeled(count: int = 30) -> Tweets:
    found = rows(count, seed=5)
    return Tweets(ids=found.ids, starts=found.starts)


def test_unlabeled_tweets_follow_the_training_rows() -> None:
    data, more = rows(10), unlabeled(4)
    both = data.followed_by(more)
    assert both.sequences(range(14)) == data.sequences(range(10)) + more.sequences(range(4))
    assert both.lengths == data.lengths + more.lengths


def test_only_language_modeling_reads_unlabeled_tweets() -> None:
    data, more, config = rows(40), unlabeled(30), pretrained()
    first, second = plan(data.lengths, config, more.lengths).phases
    for phase, count in ((first, 70), (second, 40)):
        order = [row for step in phase.steps[: phase.ends[0]] for row in step]
        assert sorted(order) == list(range(count))
    goals = [
        objective(phase, data, more, config, torch.device("cpu"), fused=False) for phase in (first, second)
    ]
    assert [len(goal.rows) for goal in goals] == [70, 40]
    assert isinstance(goals[1], Classification)
    assert not hasattr(goals[0].rows, "labels")


def test_without_unlabeled_tweets_the_plan_stays() -> None:
    data = rows(40)
    assert plan(data.lengths, pretrained()) == plan(data.lengths, pretrained(), [])


def test_loss_of_language_modeling_counts_unlabeled_tweets() -> None:
    data, config = rows(20), pretrained(epochs=1, batch_tokens=4096, micro_tokens=4096)
    state = fresh(config)
    report = run(state, data, config, steps=1, unlabeled=unlabeled())[0]
    assert report.tweets == 50
    assert report.tokens == sum(data.lengths) + sum(unlabeled().lengths)
    whole = LanguageModeling(
        rows=rows(20).followed_by(unlabeled()), config=config, device=torch.device("cpu")
    )
    start = fresh(config)
    expected = whole.loss(whole.module(start.model), range(50)) / whole.size(range(50))
    assert report.loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("stop_after", ["middle of it", "its end", "after it"])
def test_a_run_with_unlabeled_tweets_resumes_exactly(tmp_path: Path, stop_after: str) -> None:
    data, more = rows(40), unlabeled()
    config = changed(pretrained(epochs=1), model={"dropout": 0.2})
    boundary = plan(data.lengths, config, more.lengths).phases[0].end
    steps = boundary + {"middle of it": -2, "its end": 0, "after it": 2}[stop_after]
    straight, interrupted, resumed, without = (fresh(config) for _ in range(4))
    run(straight, data, config, unlabeled=more)
    run(interrupted, data, config, steps, unlabeled=more)
    interrupted.save(tmp_path, {})
    resumed.restore(tmp_path)
    run(resumed, data, config, unlabeled=more)
    run(without, data, config)
    assert torch.equal(weights(straight), weights(resumed))
    assert resumed.progress == straight.progress
    assert not torch.equal(weights(straight), weights(without))
