"""Lines of a byte stream, with bounded memory and the position in the stream."""

from typing import NamedTuple, Protocol

MAX_LINE = 1 << 20  # bytes; longer lines are read in pieces, and only the first piece is kept


class ByteStream(Protocol):
    """What is needed of a binary file."""

    def readline(self, size: int = -1, /) -> bytes: ...


class Line(NamedTuple):
    """A line with its line ending.

    Attributes:
        raw: its bytes; only the first `MAX_LINE` bytes of a longer line.
        size: number of bytes in the stream.
    """

    raw: bytes
    size: int


class ByteLines:
    """Reads lines up to a position; lines can be put back, to be read again.

    Attributes:
        position: bytes consumed, counted from the start of the decompressed file.
        number: lines consumed before the next one, counted from the start of the file.
    """

    def __init__(self, stream: ByteStream, *, start: int = 0, number: int = 0, end: int | None = None):
        self.position, self.number = start, number
        self._stream, self._end = stream, end
        self._unread: list[Line] = []

    def next(self) -> Line | None:
        """The next line; None at the end."""
        if self._unread:
            line = self._unread.pop()
        else:
            line = self._read()
            if not line.size:
                return None
        self.position += line.size
        self.number += 1
        return line

    def put_back(self, lines: list[Line]) -> None:
        """Put back the last consumed lines, in their order."""
        self._unread += reversed(lines)
        self.position -= sum(line.size for line in lines)
        self.number -= len(lines)

    def skip_bom(self) -> None:
        """Skip the byte order mark of UTF-8 at the start of a file.

        Raises:
            ValueError: the file is in UTF-16.
        """
        line = self.next()
        if line is None:
            return
        if line.raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise ValueError("is in UTF-16; save it as UTF-8")
        self.put_back([line])
        if line.raw.startswith(b"\xef\xbb\xbf"):
            self._unread[-1] = Line(line.raw[3:], line.size - 3)
            self.position += 3

    def _read(self) -> Line:
        if self._end is not None and self.position >= self._end:
            return Line(b"", 0)
        raw = self._stream.readline(MAX_LINE)
        size = len(raw)
        if size == MAX_LINE:
            piece = raw
            while piece and not piece.endswith(b"\n"):
                piece = self._stream.readline(MAX_LINE)
                size += len(piece)
        return Line(raw, size)
