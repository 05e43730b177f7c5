"""Sampling: each row has its own temperature and random numbers."""

import pytest
import torch

from tests.support.openelm_models import language_model
from tweetelm.generation.sampling import TOP_P, RowSampling, batches_of_like_length, sample
from tweetelm.openelm import OpenELMForCausalLM

PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [4]]


@pytest.fixture(scope="module")
def model() -> OpenELMForCausalLM:
    return language_model()


def draw(model: OpenELMForCausalLM, rows: list[int], seeds: list[int], heat: float = 1.0) -> list[list[int]]:
    prompts = [PROMPTS[row] for row in rows]
    return sample(model, prompts, [heat] * len(rows), seeds, end=(2,), new_tokens=12)


def test_a_row_does_not_depend_on_its_neighbors(model: OpenELMForCausalLM) -> None:
    together = draw(model, [0, 1, 2], [1, 2, 3])
    assert together == [draw(model, [row], [row + 1])[0] for row in range(3)]


def test_seeds_matter(model: OpenELMForCausalLM) -> None:
    assert len({tuple(draw(model, [0], [seed])[0]) for seed in range(8)}) > 4


def test_cold_sampling_is_greedy(model: OpenELMForCausalLM) -> None:
    greedy = model.generate(
        torch.tensor([PROMPTS[1]]), do_sample=False, max_new_tokens=12, eos_token_id=2, pad_token_id=2
    )[0, len(PROMPTS[1]) :].tolist()
    assert draw(model, [1], [0], heat=1e-4)[0] == greedy[: len(draw(model, [1], [0], heat=1e-4)[0])]


def test_draws_follow_the_probabilities() -> None:
    shares = torch.tensor([0.5, 0.3, 0.16, 0.03, 0.01])
    scores = shares.log().repeat(20_000, 1)
    chosen = RowSampling([1.0] * 20_000, list(range(20_000)))(torch.empty(0), scores).argmax(-1)
    found = chosen.bincount(minlength=5) / 20_000
    assert found[3:].sum() == 0  # beyond the nucleus: the first three reach the top-p
    assert TOP_P == 0.95
    torch.testing.assert_close(found[:3], shares[:3] / 0.96, atol=0.015, rtol=0)


def test_temperature_is_of_the_row() -> None:
    scores = torch.tensor([[2.0, 1.0]]).repeat(4000, 1)
    heat = [0.5] * 2000 + [2.0] * 2000
    chosen = RowSampling(heat, list(range(4000)))(torch.empty(0), scores).argmax(-1)
    assert chosen[:2000].float().mean() == pytest.approx(0.119, abs=0.03)
    assert chosen[2000:].float().mean() == pytest.approx(0.378, abs=0.03)


def test_batches_are_of_like_length_and_bounded() -> None:
    lengths = [3, 50, 4, 49, 5, 200, 48]
    found = list(batches_of_like_length(lengths, tokens=120, new_tokens=10))
    assert found == [[5], [1, 3], [6, 4], [2, 0]]
    assert sorted(row for batch in found for row in batch) == list(range(7))
