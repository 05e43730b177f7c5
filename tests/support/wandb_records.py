"""What a file of an offline Weights & Biases run holds."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK, FULL, FIRST, MIDDLE, LAST = 32768, 1, 2, 3, 4


def read_records(path: Path) -> list[Any]:
    """Its records, of type wandb_internal_pb2.Record."""
    from wandb.proto.wandb_internal_pb2 import Record

    return [Record.FromString(chunk) for chunk in chunks(path)]


def chunks(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file, which is LevelDB's log format after a header of seven bytes."""
    data, place, parts = path.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        room = BLOCK - place % BLOCK
        if room < 7:
            place += room
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        part = data[place + 7 : place + 7 + size]
        parts = part if kind in (FULL, FIRST) else parts + part
        if kind in (FULL, LAST):
            yield parts
        place += 7 + size
