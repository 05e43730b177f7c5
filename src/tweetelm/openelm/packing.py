"""Packs several tweets into one row without padding, in transformers' padding-free format.

Fillers are artificial tweets at the end of a row, which round its size up.
Shapes: B tweets including fillers, N tokens of all tweets, T tokens of the longest tweet.
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
    """B concatenated tweets; the last ones may be fillers.

    Attributes:
        input_ids: (1, N) token ids.
        position_ids: (1, N) positions, which restart at 0 for each tweet.
        cu_seq_lens: (B + 1,) int32, the offset of each tweet, and N.
        max_length: T.
        fillers: number of fillers.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seq_lens: Tensor
    max_length: int
    fillers: int = 0

    def to(self, device: torch.device | str) -> "PackedBatch":
        """Copy the batch to `device` without waiting for its earlier work."""
        return PackedBatch(
            self.input_ids.to(device, non_blocking=True),
            self.position_ids.to(device, non_blocking=True),
            self.cu_seq_lens.to(device, non_blocking=True),
            self.max_length,
            self.fillers,
        )

    def inputs(self) -> dict[str, Any]:
        """Keyword arguments for a model's forward."""
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


# Pairs of a size, and the step between the sizes up to it.
_STEPS = ((64, 8), (256, 16), (512, 32), (1024, 64), (2048, 128))
_STEPS_WITH_AMX = ((64, 8), (128, 16), (256, 64), (1024, 128))


def pack(sequences: Sequence[Sequence[int]], *, sizes: Sizes | None = None) -> PackedBatch:
    """Concatenate token sequences. On a CPU, adjacent sequences of equal length are fastest.

    Args:
        sequences: token ids of each tweet.
        sizes: rounds the number of tokens up to an allowed size. Fillers add the missing tokens; the number
            of tweets is rounded too. The matrix library of a CPU compiles kernels for each new size, which
            can take longer than the products themselves.

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
    device: torch.device, sequences: Sequence[Sequence[int]], *, fused: bool = False
) -> PackedBatch:
    """`pack` for a device. On a CPU, with fillers: few sizes for `fused` layers, whose products each have a
    kernel for each size (see `cpu.products`), else many sizes."""
    sizes = (few_sizes if fused else many_sizes) if device.type == "cpu" else None
    return pack(sequences, sizes=sizes).to(device)


def _fillers(tweets: int, tokens: int, sizes: Sizes) -> list[int]:
    """Lengths of the fillers: one token each, except the last one, which adds all other missing tokens."""
    if many_sizes(tweets) == tweets and sizes(tokens) == tokens:
        return []
    count = many_sizes(tweets + 1) - tweets
    missing = sizes(tokens + count) - tokens
    return [1] * (count - 1) + [missing - count + 1]


def many_sizes(number: int) -> int:
    """Round up to five binary digits, or to a multiple of 64 above 2,048. Adds at most 1/16, typically
    1/40."""
    step = 2 ** max(0, min(number.bit_length() - 6, 6))
    return -(-number // step) * step


def few_sizes(number: int) -> int:
    """Round up to one of 44 sizes up to 2,048, or of 24 on a CPU with AMX, whose kernels are large and slow
    to compile."""
    steps = _STEPS_WITH_AMX if torch.cpu._is_amx_tile_supported() else _STEPS
    step = next((step for most, step in steps if number <= most), 256)
    return -(-number // step) * step


def packed_positions(starts: Tensor, total: int) -> Tensor:
    """(1, N) positions, which restart at 0 at each of `starts` (B + 1,)."""
    firsts = torch.repeat_interleave(starts[:-1], starts.diff(), output_size=total)
    return (torch.arange(total, device=starts.device) - firsts)[None]


def row_parents(total: int) -> Tensor:
    """(N,) the row of the token before each token of a packed row; wrong, and not used, at position 0."""
    return torch.arange(-1, total - 1)


def row_of_tweets(
    starts: Tensor, total: int, mask: Tensor | None, positions: Tensor | None
) -> tuple[Tensor | None, Tensor]:
    """The mask and positions of a row with tweets at `starts`, from which all implementations can split it.

    A mask (1, N) is dropped: it contains no further information, and transformers would not detect the
    restarts of the positions.
    """
    if mask is not None and mask.dim() == 2:
        mask = None
    return mask, packed_positions(starts, total) if positions is None else positions


def restarts(position_ids: Tensor | None) -> bool:
    """Whether positions (B, T) restart, as in a packed row. True during tracing, when values are unknown."""
    if position_ids is None:
        return False
    return is_tracing(position_ids) or bool((position_ids.diff(dim=-1) != 1).any())


def one_query_each(rows: Tensor) -> dict[str, Any]:
    """Keyword arguments of attention if only `rows` (B,), one per tweet, are queries."""
    boundaries = torch.arange(len(rows) + 1, dtype=torch.int32, device=rows.device)
    return {"cu_seq_lens_q": boundaries, "max_length_q": 1}
