"""`python -m ray_jobs.cluster.config_file cluster.yaml`: check a cluster file before Ray is called.

Needs no credentials and asks nobody. Exit status 0 if nothing is missing, 2 with everything that is.
"""

import dataclasses
import json
import sys
from pathlib import Path

import tyro

from ray_jobs.cli import refuse
from ray_jobs.cluster.check import problems
from ray_jobs.cluster.config_text import FILL_IN, ClusterFile, Problem, read
from tweetelm.cli import command
from tweetelm.files import atomic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Check a cluster file; or fill it in, or say where it keeps runs and models."""

    file: tyro.conf.Positional[Path]
    """cluster.yaml or cluster.local.yaml."""
    fill: bool = False
    """Write the outputs of stack.aws.yaml, read from the standard input as JSON, into the file."""
    store: bool = False
    """Print metadata.store, or nothing if there is none yet."""


_OUTPUTS = (
    "aws cloudformation describe-stacks --stack-name tweetelm --output json --query 'Stacks[0].Outputs'"
)


def report(file: ClusterFile, found: list[Problem]) -> str:
    """What to change, by line."""
    lines = [
        f"{file.path}: {len(found)} {'thing' if len(found) == 1 else 'things'} to do before Ray is called"
    ]
    for problem in found:
        place = f"line {problem.line}" if problem.line else "here"
        lines.append(
            f"  {place + ':':<10}{problem.what}" + (f"  ({problem.repair})" if problem.repair else "")
        )
    if file.missing() and file.config.get("provider", {}).get("type") == "aws":
        lines.append(f"stack.aws.yaml makes what is to be filled in; then type:\n  {_filling(file)}")
    return "\n".join(lines)


def _filling(file: ClusterFile) -> str:
    return f"{_OUTPUTS} | python -m ray_jobs.cluster.config_file {file.path} --fill"


def fill(file: ClusterFile, outputs: str) -> None:
    """Put a stack's outputs into the file.

    Raises:
        ValueError: they are not what `describe-stacks --query 'Stacks[0].Outputs'` gives.
    """
    try:
        values = {output["OutputKey"]: str(output["OutputValue"]) for output in json.loads(outputs)}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"expected a stack's outputs as JSON, got {outputs[:40]!r} ({error}); type: {_filling(file)}"
        ) from None
    atomic.write_text(file.path, file.filled(values))


def store(file: ClusterFile) -> str:
    """Where the cluster keeps runs, models and data; empty if the file does not say yet."""
    place = str((file.config.get("metadata") or {}).get("store", ""))
    return "" if FILL_IN in place else place.rstrip("/")


def main() -> None:
    """Check, fill or tell."""
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
