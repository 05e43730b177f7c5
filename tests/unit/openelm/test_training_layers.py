"""Layers that train by fused kernels have the results and gradients of torch's own operations."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.openelm_models import checkpoint_activations
from tests.unit.openelm.test_fused import classifier
from tests.unit.openelm.test_prefix_tree import ALIKE
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.cpu.prefix_tree import PrefixTree
from tweetelm.openelm.cpu.training_layers import fuse_for_training, is_fused_for_training
from tweetelm.openelm.packing import pack

TWEETS = [*ALIKE * 10, *([1, *range(2, length)] for length in range(20, 40))]
Model = OpenELMForSequenceClassification


def moved(**settings: object) -> Model:
    """A classifier whose norms have other weights than one."""
    model = classifier(**settings).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.mul_(1 + 0.3 * torch.randn_like(parameter))
    return model


def plain(model: Model) -> Tensor:
    logits = model(**pack(TWEETS).inputs()).logits
    assert isinstance(logits, Tensor)
    return logits.float()


def as_tree(model: Model) -> Tensor:
    tree = PrefixTree.of_one_pass(TWEETS)
    found = model(**tree.inputs()).logits[: len(TWEETS)].float()
    return torch.zeros_like(found).index_copy(0, torch.tensor(tree.tweets), found)


def as_row(model: Model) -> Tensor:
    batch = pack(TWEETS)
    parents = torch.arange(-1, batch.input_ids.shape[1] - 1)
    logits = model(**batch.inputs(), parents=parents).logits
    assert isinstance(logits, Tensor)
    return logits.float()


def loss(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, torch.arange(len(logits)) % 2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 1e-5), (True, 4e-2)])
@pytest.mark.parametrize(
    ("settings", "way"),
    [
        ({}, as_tree),
        ({}, as_row),
        ({"normalize_qk_projections": False}, as_tree),
        ({"head_dim": 40}, as_tree),
        ({"classifier_pooling": "mean"}, as_row),
    ],
)
def test_gradients_match_those_of_plain_layers(
    settings: dict[str, object], way: Callable[[Model], Tensor], bf16: bool, tolerance: float, threads: int
) -> None:
    expected = moved(**settings)
    model = copy.deepcopy(expected)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            wanted = plain(expected)
            assert fuse_for_training(model)
            found = way(model)
        loss(wanted).backward()
        loss(found).backward()
    finally:
        torch.set_num_threads(before)
    assert (found - wanted).norm() <= tolerance * wanted.norm()
    assert list(model.state_dict()) == list(expected.state_dict())
    for (name, one), (_, other) in zip(model.named_parameters(), expected.named_parameters(), strict=True):
        assert one.grad is not None, name
        assert other.grad is not None
        assert 0 < (one.grad - other.grad).norm() <= tolerance * other.grad.norm(), name


def test_activation_checkpointing_gives_the_same_gradients() -> None:
    model = moved()
    assert fuse_for_training(model)
    other = copy.deepcopy(model)
    checkpoint_activations(other)
    for each in (model, other):
        loss(as_tree(each)).backward()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        assert torch.equal(one.grad, two.grad)


def test_other_inputs_are_computed_as_before() -> None:
    model = classifier()
    ids = torch.tensor([[1, 2, 3, 4]])
    expected = model(input_ids=ids).logits
    assert fuse_for_training(model)
    assert torch.equal(model(input_ids=ids).logits, expected)


@pytest.mark.parametrize("settings", [{"ffn_with_glu": False}, {"activation_fn_name": "gelu"}])
def test_other_feed_forward_blocks_are_not_fused(settings: dict[str, object]) -> None:
    model = classifier(**settings)
    assert not fuse_for_training(model)
    assert not is_fused_for_training(model)


def test_models_in_half_precision_are_not_fused() -> None:
    assert not fuse_for_training(classifier().bfloat16())
    model = classifier()
    assert fuse_for_training(model)
    with pytest.raises(ValueError, match="float32 weights"):
        as_tree(model.bfloat16())
