"""Limits of one request and of one replica, with their defaults; docs/limits.md has the table."""

from dataclasses import dataclass

MOST_INPUTS = 1024
"""Upper bound of `Limits.inputs`; validation of a body stops after this many texts."""

ANSWERS = 100_000
"""Answers kept per model and replica: 26 MB with two labels."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one request and of one replica."""

    inputs: int = 32
    """Maximum texts in one request."""
    body_bytes: int = 2_000_000
    """Maximum bytes of a body: 62,500 for each of 32 texts."""
    body_s: float = 10.0
    """Seconds within which a request's body must arrive; for a file, its first bytes."""
    deadline_s: float = 20.0
    """Seconds after which a request is answered with 504."""
    concurrent: int = 256
    """Concurrent POST requests in one replica; more are rejected with 429."""
    concurrent_gets: int = 64
    """Concurrent GET requests in one replica, except /health and /ready; more are rejected with 429."""
    wait_s: float = 10.0
    """Maximum estimated queueing time of one replica in seconds; beyond it, requests are rejected with
    429."""
    files: int = 4
    """Concurrent files in one replica."""
    files_per_key: int = 2
    """Concurrent files of one API key in one replica."""
    file_bytes: int = 1_000_000_000
    """Maximum bytes of a file, which is stored on the replica's disk while it is processed."""
    file_bytes_per_s: int = 1_000
    """Minimum upload rate of a file after `body_s` seconds; slower uploads are rejected with 408."""
    file_errors: int = 1_000
    """A file is aborted once more than this many rows, and more than half of its rows so far, have failed."""
    send_s: float = 60.0
    """Seconds within which a client must accept each part of a file's response; then the response ends."""
    line_bytes: int = 65_536
    """Maximum bytes of one row of a file."""
    texts_per_minute: int = 0
    """Maximum texts per minute, API key and replica; 0: unlimited. N replicas allow up to N times as many."""

    def __post_init__(self) -> None:
        if not 1 <= self.inputs <= MOST_INPUTS:
            raise ValueError(f"limits.inputs is {self.inputs}; expected a number from 1 to {MOST_INPUTS}")
