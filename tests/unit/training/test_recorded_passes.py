"""Passes of a fixed size: fillers change neither loss nor gradients. Recording needs a GPU."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.training_runs import changed, configuration, fresh, rows, run
from tweetelm.config.train_config import TrainConfig
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.training.encoded_rows import Rows
from tweetelm.training.objectives import Classification
from tweetelm.training.recorded_passes import RecordedPass
from tweetelm.training.strategy import DataParallel

SHARE = [4, 1, 7, 2, 11]


def taught(data: Rows) -> Rows:
    probabilities = np.random.default_rng(0).dirichlet([1, 1], len(data)).astype(np.float32)
    return dataclasses.replace(data, teacher=np.log(probabilities))


def gradients(model: OpenELMForSequenceClassification) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def both(
    data: Rows, config: TrainConfig, share: Sequence[int], device: torch.device, *, record: bool
) -> tuple[tuple[Tensor, dict[str, Tensor]], tuple[Tensor, dict[str, Tensor]]]:
    """Loss and gradients of a micro-batch as it is, and of the pass of a fixed size."""
    model = fresh(config).model.to(device).train()
    goal = Classification(rows=data, config=config, device=device)
    loss = goal.loss(model, share) / len(share)
    loss.backward()
    expected = loss.detach(), gradients(model)
    found = RecordedPass(goal, model, tokens=192, tweets=len(share) + 6, longest=64)
    assert found.fits(share)
    if record:
        found.record(list(range(6)))
    for other in (list(range(6, 11)), share):  # what an earlier micro-batch left must not matter
        model.zero_grad(set_to_none=False)
        loss = found.backward(other, len(share))
    return expected, (loss, gradients(model))


@pytest.mark.parametrize("teacher", [False, True])
def test_fillers_change_neither_loss_nor_gradients(teacher: bool) -> None:
    data = taught(rows(20)) if teacher else rows(20)
    config = changed(configuration(), optim={"class_weights": "balanced", "label_smoothing": 0.1})
    (loss, wanted), (other, found) = both(data, config, SHARE, torch.device("cpu"), record=False)
    assert float(other) == pytest.approx(float(loss), rel=1e-5)
    assert found.keys() == wanted.keys()
    for name, gradient in found.items():
        assert (gradient - wanted[name]).norm() <= 1e-4 * wanted[name].norm(), name


def test_a_micro_batch_that_is_too_large_does_not_fit() -> None:
    data, config = rows(40), configuration()
    goal = Classification(rows=data, config=config, device=torch.device("cpu"))
    found = RecordedPass(goal, fresh(config).model, tokens=128, tweets=8, longest=64)
    assert found.fits([0, 1])
    assert not found.fits(range(9))
    assert not found.fits([])
    lengths = sum(data.lengths[row] for row in (0, 1))
    assert RecordedPass(goal, found.module, tokens=lengths + 6, tweets=8, longest=64).fits([0, 1])
    # a filler without tokens would be a query without keys
    assert not RecordedPass(goal, found.module, tokens=lengths + 5, tweets=8, longest=64).fits([0, 1])
    assert not RecordedPass(goal, found.module, tokens=1280, tweets=8, longest=64).fits([0, 1])


def test_without_a_gpu_recording_is_refused() -> None:
    config = configuration(cuda_graphs=True)
    with pytest.raises(ValueError, match=r"--loop.cuda-graphs needs one GPU.* has no GPU"):
        run(fresh(config), rows(20), config)


@pytest.mark.gpu
@pytest.mark.parametrize("teacher", [False, True])
def test_a_recorded_pass_has_the_gradients_of_plain_ones(teacher: bool) -> None:
    data = taught(rows(20)) if teacher else rows(20)
    config = configuration(precision="bf16")
    (loss, wanted), (other, found) = both(data, config, SHARE, torch.device("cuda"), record=True)
    assert float(other) == pytest.approx(float(loss), rel=2e-2)
    for name, gradient in found.items():
        assert (gradient - wanted[name]).norm() <= 5e-2 * wanted[name].norm(), name


@pytest.mark.gpu
def test_a_run_with_recorded_passes_learns_like_a_plain_one() -> None:
    device = DataParallel(device=torch.device("cuda"))
    data, losses = rows(200), []
    for recorded in (False, True):
        config = configuration(precision="bf16", epochs=4, cuda_graphs=recorded)
        state = fresh(config)
        state.model.to("cuda")
        reports = run(state, data, config, strategy=device)
        losses.append([float(report.loss) for report in reports])
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
