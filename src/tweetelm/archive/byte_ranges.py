"""Opens files, local or in object storage, at a position of their decompressed bytes."""

import io
from typing import Any, cast

from tweetelm.archive.byte_lines import ByteLines, ByteStream
from tweetelm.archive.inputs import InputFile
from tweetelm.files import object_storage

BUFFER = 1 << 20  # bytes


class ByteRanges:
    """Reads ranges of files; keeps the last file open.

    A compressed file is decompressed from its start, so increasing ranges of it are read in one pass.
    """

    def __init__(self) -> None:
        self._place, self._position = "", 0
        self._stream: Any = None

    def lines(self, file: InputFile, start: int = 0, end: int | None = None, number: int = 0) -> ByteLines:
        """The lines of a range; `number` lines precede it."""
        self._seek(file, start)
        self._position = -1 if end is None else end
        return ByteLines(cast("ByteStream", self._stream), start=start, number=number, end=end)

    def read(self, file: InputFile, start: int, end: int) -> bytes:
        """The bytes of a range; fewer if the file is shorter."""
        self._seek(file, start)
        data = bytes(self._stream.read(end - start))
        self._position = start + len(data)
        return data

    def close(self) -> None:
        """Close the open file, if there is one."""
        if self._stream is not None:
            self._stream.close()
        self._place, self._stream = "", None

    def _seek(self, file: InputFile, start: int) -> None:
        compressed = file.format.compression is not None
        if self._place != file.place or self._position < 0 or (compressed and self._position > start):
            self.close()
            self._stream, self._place, self._position = open_bytes(file), file.place, 0
        if self._position == start:
            return
        if not compressed:
            self._stream.seek(start)
        while compressed and self._position < start:
            skipped = len(self._stream.read(min(BUFFER, start - self._position)))
            if not skipped:
                raise ValueError(f"{file.place} became shorter while it was read; run the command again")
            self._position += skipped


def open_bytes(file: InputFile) -> io.BufferedReader:
    """The decompressed bytes of a file."""
    import pyarrow

    raw = open_raw(file)
    if file.format.compression:
        raw = pyarrow.CompressedInputStream(raw, file.format.compression)
    return io.BufferedReader(cast("io.RawIOBase", raw), BUFFER)


def open_raw(file: InputFile) -> Any:
    """The bytes of a file, as a file of pyarrow."""
    filesystem, path = object_storage.find(file.place)
    with object_storage.explained(file.place):
        return filesystem.open_input_file(path)
