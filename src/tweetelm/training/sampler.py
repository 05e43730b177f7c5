"""Assigns rows to optimizer steps, as a pure function of seed, epoch, lengths and token budget.

The assignment does not depend on the number of workers or on gradient accumulation. A run can therefore
resume at any step, with any number of workers.
"""

from collections.abc import Sequence

import numpy as np

from tweetelm.encoding import fill_batches


def epoch_steps(lengths: Sequence[int], *, batch_tokens: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle the rows of one epoch and split them into steps of at most `batch_tokens` tokens.

    Every row occurs exactly once. A step is a random sample of all lengths: packed rows need no padding. Rows
    of a step are sorted by length, because adjacent rows of equal length share one attention call.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    steps = fill_batches(order.tolist(), lengths, batch_tokens)
    return [sorted(step, key=lambda i: (lengths[i], i)) for step in steps]


def micro_batches(
    step: Sequence[int], lengths: Sequence[int], *, rank: int, world: int, micro_tokens: int
) -> list[list[int]]:
    """The rows of one rank in a step, split into micro-batches of at most `micro_tokens` tokens.

    Empty if the rank has no rows.
    """
    return fill_batches(step[rank::world], lengths, micro_tokens)
