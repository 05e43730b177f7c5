"""Which rows make up which optimizer step: a pure function of seed, epoch, lengths and budget.

Neither the number of workers nor accumulation takes part, so a run can resume at any step, anywhere.
"""

from collections.abc import Sequence

import numpy as np

from tweetelm.encoding import fill_batches


def epoch_steps(lengths: Sequence[int], *, batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle the rows of one epoch and cut them into steps of at most `batch_tokens` tokens.

    Rows inside a step are sorted by length: nothing is padded, so steps can be random samples of all
    lengths, and neighbours of one length share an attention call. Every row occurs exactly once.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    steps = fill_batches(order.tolist(), lengths, batch_tokens)
    return [sorted(step, key=lambda i: (lengths[i], i)) for step in steps]


def micro_batches(
    step: Sequence[int], lengths: Sequence[int], *, rank: int, world: int, micro_tokens: int
) -> list[list[int]]:
    """One rank's share of a step, in portions of at most `micro_tokens` tokens.

    Empty if the rank has no rows.
    """
    return fill_batches(step[rank::world], lengths, micro_tokens)
