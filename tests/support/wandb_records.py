"""Reader for the file of an offline Weights & Biases run."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, FULL, FIRST, MIDDLE, LAST = 32768, 1, 2, 3, 4


def read_records(path: Path) -> list[Any]:
    """The records of a file, of type wandb_internal_pb2.Record."""
    from wandb.proto.wandb_internal_pb2 import Record

    return [Record.FromString(chunk) for chunk in chunks(path)]


def chunks(path: Path) -> Iterator[bytes]:
    """The raw records of a .wandb file: LevelDB's log format after a header of seven bytes."""
    data, offset, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while offset + 7 <= len(data):
        remaining = BLOCK - offset % BLOCK
        if remaining < 7:
            offset += remaining
            continue
        _, size, kind = struct.unpack_from("<IHB", data, offset)
        part = data[offset + 7 : offset + 7 + size]
        parts = part if kind in (FULL, FIRST) else parts + part
        if kind in (FULL, LAST):
            yield parts
        offset += 7 + size
