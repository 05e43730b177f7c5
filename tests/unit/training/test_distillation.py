"""Distillation in the loop: the loss, unlabeled tweets, learning against wrong labels, exact resume."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.support.training_runs import CPU, accuracy, changed, configuration, fresh, rows, run, weights
from tweetelm.config.train_config import TrainConfig
from tweetelm.training.encoded_rows import NO_LABEL, Rows
from tweetelm.training.objectives import Classification, divergence, objective
from tweetelm.training.phases import plan


def taught(data: Rows, sure: float = 3.0) -> Rows:
    """With a teacher who knows the rule of `rows`."""
    logits = torch.full((len(data), 2), -sure)
    logits[range(len(data)), torch.arange(len(data)) % 2] = sure
    return dataclasses.replace(data, teacher=logits.log_softmax(-1).numpy())


def distilling(weight: float = 0.7, **loop: object) -> TrainConfig:
    return changed(configuration(**loop), distill={"teacher": "v1", "weight": weight, "temperature": 2.0})


def test_divergence_is_zero_for_equal_answers_and_by_hand() -> None:
    logits = torch.tensor([[1.0, -1.0], [0.3, 2.0]])
    assert divergence(logits, logits.log_softmax(-1), 3.0).abs().max() < 1e-6
    p, q = (torch.tensor(each) for each in ([0.9, 0.1], [0.6, 0.4]))
    by_hand = (p * (p / q).log()).sum()
    assert divergence(q.log()[None], p.log()[None], 1.0).item() == pytest.approx(by_hand.item(), rel=1e-5)
    soft_p, soft_q = ((each.log() / 2).softmax(-1) for each in (p, q))
    by_hand = 4 * (soft_p * (soft_p / soft_q).log()).sum()
    assert divergence(q.log()[None], p.log()[None], 2.0).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_loss_mixes_label_and_teacher() -> None:
    data, config = taught(rows(6)), distilling(weight=0.25)
    labels = data.labels.copy()
    labels[4:] = NO_LABEL
    data = dataclasses.replace(data, labels=labels)
    state = fresh(config)
    state.model.eval()
    goal = objective(plan(data.lengths, config).phases[-1], data, None, config, CPU.device, fused=False)
    loss = goal.loss(state.model, range(6))
    assert isinstance(goal, Classification)
    plain = dataclasses.replace(goal, rows=dataclasses.replace(data, teacher=None))
    hard = plain.loss(state.model, range(4))
    logits = torch.cat([_logits(state.model, data, row) for row in range(6)])
    assert data.teacher is not None
    soft = divergence(logits, torch.tensor(data.teacher), 2.0)
    expected = 0.75 * hard + 0.25 * soft[:4].sum() + soft[4:].sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def _logits(model: torch.nn.Module, data: Rows, row: int) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=torch.tensor(data.sequences([row]))).logits.detach()
    return found


def test_student_learns_the_rule_from_the_teacher_alone() -> None:
    data = taught(rows(400))
    wrong = dataclasses.replace(data, labels=np.random.default_rng(0).integers(0, 2, len(data)))
    reached = {}
    for weight in (1.0, 0.01):
        config = distilling(weight, epochs=6)
        scorer = accuracy(rows(100, seed=1))
        state = fresh(config)
        run(state, wrong, config)
        reached[weight] = scorer(state.model)["accuracy"]  # type: ignore[operator]
    assert reached[1.0] > 0.9
    assert reached[0.01] < 0.8


def test_unlabeled_rows_do_not_count_as_a_class() -> None:
    data = rows(4)
    more = dataclasses.replace(data, labels=np.asarray([0, 0, 0, NO_LABEL]))
    assert more.class_weights(2) == [1.0, 0.0]
    assert F.cross_entropy(torch.zeros(1, 2), torch.tensor([NO_LABEL]), reduction="sum").item() == 0


def test_interrupted_distillation_resumes_to_the_same_weights(tmp_path: Path) -> None:
    data, config = taught(rows(80)), distilling(epochs=2)
    whole = fresh(config)
    run(whole, data, config)
    half = fresh(config)
    run(half, data, config, steps=3)
    half.save(tmp_path, {})
    again = fresh(config)
    again.restore(tmp_path)
    run(again, data, config)
    assert torch.equal(weights(whole), weights(again))


def test_missing_answers_are_an_error() -> None:
    data, config = rows(8), distilling()
    with pytest.raises(ValueError, match="teacher v1 has not answered the training tweets yet"):
        run(fresh(config), data, config)
