"""Selection of rows for recorded forward passes; test_gpu.py checks their results."""

import itertools

import pytest
import torch

from tests.support.openelm_models import classifier
from tweetelm.openelm.cuda_graphs import SIZES, can_capture, smallest


@pytest.mark.parametrize(
    ("tokens", "tweets", "size"),
    [
        (1, 1, 64),
        (64, 8, 64),
        (65, 1, 96),
        (64, 9, 96),
        (60, 20, 192),
        (8192, 1024, 8192),
        (8193, 1, None),
        (9, 1025, None),
    ],
)
def test_the_smallest_recorded_row_that_holds_a_row(tokens: int, tweets: int, size: int | None) -> None:
    assert smallest(SIZES, tokens, tweets) == size


def test_graph_padding_is_at_most_half_a_row() -> None:
    assert list(SIZES) == sorted(set(SIZES))
    assert all(after <= 1.5 * before for before, after in itertools.pairwise(SIZES))


def test_a_cpu_records_nothing() -> None:
    assert not can_capture(classifier().to(torch.bfloat16))
