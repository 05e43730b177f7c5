"""The name of the running command, for usage lines."""

program: str | None = None
"""Set by `tweetelm COMMAND`; None for `python -m MODULE`."""


def program_name(module: str) -> str:
    """`tweetelm train` or `python -m ray_jobs.train`, as the user typed it."""
    return program or f"python -m {module}"
