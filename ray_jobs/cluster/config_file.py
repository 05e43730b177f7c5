"""`python -m ray_jobs.cluster.config_file cluster.yaml`: check a cluster file before Ray is called.

Works offline and needs no credentials. Exit status: 0 if the file is complete, 2 with a list of problems.
"""

import dataclasses
import json
import sys
from pathlib import Path

import tyro

from ray_jobs.cli import refuse
from ray_jobs.cluster.check_config import problems
from ray_jobs.cluster.config_parser import FILL_IN, ClusterFile, Problem, read
from tweetelm.cli import command
from tweetelm.files import atomic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Check a cluster file, fill it in, or print its storage URL."""

    file: tyro.conf.Positional[Path]
    """cluster.yaml or cluster.local.yaml."""
    fill: bool = False
    """Read the outputs of stack.aws.yaml as JSON from standard input, and write them into the file."""
    store: bool = False
    """Print metadata.store; prints nothing if it is not filled in."""


_OUTPUTS = (
    "aws cloudformation describe-stacks --stack-name tweetelm --output json --query 'Stacks[0].Outputs'"
)


def report(file: ClusterFile, found: list[Problem]) -> str:
    """Return the list of problems by line, for a terminal."""
    lines = [
        f"{file.path}: {len(found)} {'problem' if len(found) == 1 else 'problems'} to fix before `ray up`"
    ]
    for problem in found:
        source = f"line {problem.line}" if problem.line else "here"
        lines.append(
            f"  {source + ':':<10}{problem.what}" + (f"  ({problem.repair})" if problem.repair else "")
        )
    if file.missing() and file.config.get("provider", {}).get("type") == "aws":
        lines.append(
            f"Create the stack of stack.aws.yaml, then fill in its outputs with:\n  {_filling(file)}"
        )
    return "\n".join(lines)


def _filling(file: ClusterFile) -> str:
    return f"{_OUTPUTS} | python -m ray_jobs.cluster.config_file {file.path} --fill"


def fill(file: ClusterFile, outputs: str) -> None:
    """Write a stack's outputs into the file.

    Raises:
        ValueError: `outputs` is not the JSON of `describe-stacks --query 'Stacks[0].Outputs'`.
    """
    try:
        values = {output["OutputKey"]: str(output["OutputValue"]) for output in json.loads(outputs)}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"expected a stack's outputs as JSON, got {outputs[:40]!r} ({error}); type: {_filling(file)}"
        ) from None
    atomic.write_text(file.path, file.filled(values))


def store(file: ClusterFile) -> str:
    """Return the storage URL of runs, models and data; "" if it is not filled in."""
    url = str((file.config.get("metadata") or {}).get("store", ""))
    return "" if FILL_IN in url else url.rstrip("/")


def main() -> None:
    """Run the command."""
    arguments = command.parse(Arguments, module="ray_jobs.cluster.config_file")
    with refuse():
        file = read(arguments.file)
        if arguments.store:
            print(store(file))
            return
        if arguments.fill:
            fill(file, sys.stdin.read())
            file = read(arguments.file)
        if found := problems(file):
            sys.exit(_refused(file, found))
        print(f"{file.path}: complete")


def _refused(file: ClusterFile, found: list[Problem]) -> int:
    print(report(file, found), file=sys.stderr)
    return 2


if __name__ == "__main__":
    command.run(main)
