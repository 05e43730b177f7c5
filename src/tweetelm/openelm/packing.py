"""Several tweets in one row without padding: transformers' padding-free convention.

Shapes: B tweets, N tokens in all, T tokens of the longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.utils.import_utils import is_tracing


@dataclass(frozen=True)
class PackedBatch:
    """B tweets end to end.

    Attributes:
        input_ids: (1, N) token ids.
        position_ids: (1, N) positions, from 0 again at each tweet.
        cu_seq_lens: (B + 1,) int32, where each tweet starts, and N.
        max_length: T.
    """

    input_ids: Tensor
    position_ids: Tensor
    cu_seq_lens: Tensor
    max_length: int

    def to(self, device: torch.device | str) -> "PackedBatch":
        """The same batch on `device`."""
        return PackedBatch(
            self.input_ids.to(device),
            self.position_ids.to(device),
            self.cu_seq_lens.to(device),
            self.max_length,
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


def pack(sequences: Sequence[Sequence[int]]) -> PackedBatch:
    """Lay token sequences end to end. Fastest on a CPU when sequences of one length stand next to each other.

    Raises:
        ValueError: there is no sequence, or one is empty.
    """
    lengths = torch.tensor([len(s) for s in sequences], dtype=torch.int32)
    if not len(lengths) or int(lengths.min()) == 0:
        raise ValueError(f"pack needs at least one sequence and no empty one; got lengths {lengths.tolist()}")
    ends = lengths.cumsum(0, dtype=torch.int32)
    total = int(ends[-1])
    ids = torch.tensor([i for s in sequences for i in s], dtype=torch.long)
    cu = torch.cat([torch.zeros(1, dtype=torch.int32), ends])
    return PackedBatch(ids[None], packed_positions(cu, total), cu, int(lengths.max()))


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
