"""Hashes and chunks of files and bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 20  # bytes


def sha256(source: Path | bytes) -> str:
    """Hexadecimal sha256 of bytes or of a file's content."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(source: Path | bytes) -> str:
    """Hexadecimal md5 of bytes or of a file's content, as DVC uses it; not for security."""
    if isinstance(source, bytes):
        return hashlib.md5(source, usedforsecurity=False).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def chunks(source: Path | bytes, size: int = CHUNK) -> Iterator[bytes]:
    """The bytes of a source, in chunks of at most `size` bytes if it is a file."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(size):
            yield chunk


def checked(source: Path | bytes, expected: str, size: int = CHUNK) -> Iterator[bytes]:
    """The chunks of a source; raises ValueError after the last one if their sha256 is not `expected`."""
    digest = hashlib.sha256()
    for chunk in chunks(source, size):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != expected:
        raise ValueError(
            f"{source if isinstance(source, Path) else 'a file'} changed during publishing: sha256 is "
            f"{digest.hexdigest()}; expected {expected}; publish again when no process writes to it"
        )
