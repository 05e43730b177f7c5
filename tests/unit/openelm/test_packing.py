"""Fillers round the size of a packed row and do not change its tweets."""

from itertools import product

import pytest
import torch

from tests.support.openelm_models import classifier
from tests.support.training_runs import configuration, fresh, rows
from tweetelm.openelm.packing import few_sizes, many_sizes, pack
from tweetelm.training.objectives import Classification

MANY = rows(75)


def round_in_five_bits(number: int) -> bool:
    return number % 2 ** max(0, min(number.bit_length() - 6, 6)) == 0


@pytest.mark.parametrize(("tweets", "length"), list(product([1, 5, 33, 64, 75], [1, 3, 31, 40])))
def test_rows_are_round_in_tokens_and_tweets_at_little_cost(tweets: int, length: int) -> None:
    batch = pack([[7] * length] * tweets, sizes=many_sizes)
    tokens = tweets * length
    assert round_in_five_bits(batch.input_ids.shape[1])
    assert round_in_five_bits(len(batch.cu_seq_lens) - 1)
    assert batch.cu_seq_lens[tweets] == tokens
    assert batch.input_ids.shape[1] - tokens <= max(tokens, tweets) / 16 + 1
    assert batch.fillers == len(batch.cu_seq_lens) - 1 - tweets


def test_few_sizes_are_left_where_there_were_many() -> None:
    rows = ([[1] * 30] * 60 + [[1] * last] for last in range(1, 200))
    sizes = {pack(row, sizes=many_sizes).input_ids.shape[1] for row in rows}
    assert len(sizes) <= 8


@pytest.mark.parametrize(
    ("amx", "sizes", "added"),
    [
        (False, 44, {64: 7, 256: 15, 512: 31, 1024: 63, 2048: 127}),
        (True, 24, {64: 7, 128: 15, 256: 63, 1024: 127, 2048: 255}),
    ],
)
def test_rows_have_few_sizes_per_kernel(
    amx: bool, sizes: int, added: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    counts = range(1, 2049)
    found = [few_sizes(count) for count in counts]
    assert len(set(found)) == sizes
    for count, size in zip(counts, found, strict=True):
        most = next(extra for limit, extra in added.items() if count <= limit)
        assert count <= size <= count + most


def test_a_filled_row_gives_each_tweet_the_same_logits() -> None:
    model, tweets = classifier(), MANY.sequences(range(75))
    for sizes in (many_sizes, few_sizes):
        batches = pack(tweets), pack(tweets, sizes=sizes)
        plain, filled = (model(**batch.inputs()).logits for batch in batches)
        assert len(filled) > 75
        torch.testing.assert_close(filled[:75], plain, rtol=0.0, atol=1e-5)


def test_fillers_have_no_part_in_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration()
    state, gradients = fresh(config), []
    objective = Classification(rows=MANY, config=config, device=torch.device("cpu"))
    for sizes in (many_sizes, None):
        monkeypatch.setattr(
            "tweetelm.training.objectives.pack_onto",
            lambda device, rows, sizes=sizes: pack(rows, sizes=sizes),
        )
        state.model.zero_grad()
        objective.loss(state.model, range(75)).backward()
        gradients.append(
            torch.cat([p.grad.flatten() for p in state.model.parameters() if p.grad is not None])
        )
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-4)
