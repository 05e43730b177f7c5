"""Several tweets in one row without padding: transformers' padding-free convention.

Shapes: B tweets, N tokens in all, T tokens of the longest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.utils.import_utils import is_tracing


@dataclass(frozen=True)
class PackedBatch:
    """B tweets end to end, fillers at the end included.

    Attributes:
        input_ids: (1, N) token ids.
        position_ids: (1, N) positions, from 0 again at each tweet.
        cu_seq_lens: (B + 1,) int32, where each tweet starts, and N.
        max_length: T.
        fillers: how many of the B tweets, the last ones, are there for the row's size only.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seq_lens: Tensor
    max_length: int
    fillers: int = 0

    def to(self, device: torch.device | str) -> "PackedBatch":
        """The same batch on `device`, without waiting for what that has to do before."""
        return PackedBatch(
            self.input_ids.to(device, non_blocking=True),
            self.position_ids.to(device, non_blocking=True),
            self.cu_seq_lens.to(device, non_blocking=True),
            self.max_length,
            self.fillers,
        )

    def inputs(self) -> dict[str, Any]:
        """Keyword arguments of a model's forward."""
        return {
            "input_ids": self.input_ids,
            "position_ids": self.position_ids,
            "cu_seq_lens_q": self.cu_seq_lens,
            "cu_seq_lens_k": self.cu_seq_lens,
            "max_length_q": self.max_length,
            "max_length_k": self.max_length,
            "use_cache": False,
        }


Sizes = Callable[[int], int]  # rounds a number up


def pack(sequences: Sequence[Sequence[int]], *, sizes: Sizes | None = None) -> PackedBatch:
    """Lay token sequences end to end. Fastest on a CPU when sequences of one length stand next to each other.

    Args:
        sequences: token ids of each tweet.
        sizes: which numbers of tokens the row may have. Fillers make up for the rest, and make its tweets a
            round number too. A CPU's matrix library compiles its kernels anew for each size, which can take
            longer than the products.

    Raises:
        ValueError: there is no sequence, or one is empty.
    """
    counts = [len(s) for s in sequences]
    if not counts or min(counts) == 0:
        raise ValueError(f"pack needs at least one sequence and no empty one; got lengths {counts}")
    fillers = _fillers(len(counts), sum(counts), sizes) if sizes else []
    lengths = torch.tensor(counts + fillers, dtype=torch.int32)
    ends = lengths.cumsum(0, dtype=torch.int32)
    total = int(ends[-1])
    filling = [sequences[0][0]] * sum(fillers)
    ids = torch.from_numpy(np.fromiter(chain(*sequences, filling), np.int64, total))
    cu = torch.cat([torch.zeros(1, dtype=torch.int32), ends])
    return PackedBatch(ids[None], packed_positions(cu, total), cu, int(lengths.max()), len(fillers))


def pack_onto(
    device: torch.device, sequences: Sequence[Sequence[int]], *, compiled: bool = False
) -> PackedBatch:
    """`pack` for a device, with fillers where they pay: on a CPU, and the most where kernels are `compiled`
    for each weight (`prepacked`)."""
    sizes = (few_sizes if compiled else many_sizes) if device.type == "cpu" else None
    return pack(sequences, sizes=sizes).to(device)


def _fillers(tweets: int, tokens: int, sizes: Sizes) -> list[int]:
    """Lengths of the fillers that make a row round: tweets of one token, the last one of what is missing."""
    if many_sizes(tweets) == tweets and sizes(tokens) == tokens:
        return []
    count = many_sizes(tweets + 1) - tweets
    missing = sizes(tokens + count) - tokens
    return [1] * (count - 1) + [missing - count + 1]


def many_sizes(number: int) -> int:
    """Up to five binary digits, or to a multiple of 64 beyond 2,048: at most a sixteenth more, commonly a
    fortieth."""
    step = 2 ** max(0, min(number.bit_length() - 6, 6))
    return -(-number // step) * step


def few_sizes(number: int) -> int:
    """Up to one of sixteen sizes to 2,048: at most a quarter more beyond 512, a half more from 128 on. Fewer
    tokens cost a CPU little: it waits for the weights."""
    step = next((step for most, step in ((128, 32), (256, 64), (1024, 128)) if number <= most), 256)
    return -(-number // step) * step


def packed_positions(starts: Tensor, total: int) -> Tensor:
    """(1, N) positions, from 0 again at each of `starts` (B + 1,)."""
    firsts = torch.repeat_interleave(starts[:-1], starts.diff(), output_size=total)
    return (torch.arange(total, device=starts.device) - firsts)[None]


def row_of_tweets(
    starts: Tensor, total: int, mask: Tensor | None, positions: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """The mask and positions of a row described by `starts`, such that every implementation splits it.

    A mask (1, N) says nothing more, and would hide the restarts of the positions from transformers.
    """
    if mask is not None and mask.dim() == 2:
        mask = None
    return mask, packed_positions(starts, total) if positions is None else positions


def restarts(position_ids: Tensor | None) -> bool:
    """Whether positions (B, T) show a row of several tweets; yes to a compiler, which cannot look at them."""
    if position_ids is None:
        return False
    return is_tracing(position_ids) or bool((position_ids.diff(dim=-1) != 1).any())


def one_query_each(rows: Tensor) -> dict[str, Any]:
    """Attention's keyword arguments where only `rows` (B,) ask, one for each tweet."""
    boundaries = torch.arange(len(rows) + 1, dtype=torch.int32, device=rows.device)
    return {"cu_seq_lens_q": boundaries, "max_length_q": 1}
