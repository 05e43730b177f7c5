"""`python -m tweetelm.data check TASK` checks a dataset; `python -m tweetelm.data pull` downloads both."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from tweetelm.cli import command
from tweetelm.cli.program_name import program_name
from tweetelm.data.audit.check import Report, check, lines, remarks
from tweetelm.data.download import pull
from tweetelm.files import atomic
from tweetelm.files.paths import expanded
from tweetelm.tasks import TASKS


def main(argv: list[str] | None = None) -> int:
    """Run a command. If it fails, print the reason to standard error and return exit status 1."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "pull":
            for line in pull(Path.cwd(), cache=_expanded(arguments.cache)):
                print(line, flush=True)
        else:
            _check(arguments.task, arguments.root, arguments.json)
    except BrokenPipeError:
        raise
    except command.EXPLAINED as error:
        print(f"error: {command.message(error)}", file=sys.stderr)
        return 1
    return 0


def _expanded(folder: Path | None) -> Path | None:
    return None if folder is None else Path(expanded(str(folder)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program_name("tweetelm.data"), description="Download and check the datasets."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="report counts, duplicates, leakage and damage")
    check.add_argument("task", choices=list(TASKS), help="which dataset")
    check.add_argument(
        "--root", default="data", help="folder or URL of the datasets, or `sample` (default: %(default)s)"
    )
    check.add_argument(
        "--json", metavar="FILE", help="also write the report to FILE as JSON; `-` prints JSON only"
    )
    pull = commands.add_parser("pull", help="download both datasets with DVC and verify their hashes")
    pull.add_argument(
        "--cache", type=Path, metavar="DIR", help="copy the data from this DVC cache; needs no network"
    )
    return parser


def _check(task: str, root: str, file: str | None) -> None:
    if file == "-":
        print(_json(check(TASKS[task], root)))
        return
    for line in remarks(TASKS[task], root):
        print(line, flush=True)  # before the check, which fails on damaged data
    report = check(TASKS[task], root)
    print("\n".join(lines(report)))
    if file:
        atomic.write_text(Path(expanded(file)), _json(report) + "\n")
        print(f"written to {file}")


def _json(report: Report) -> str:
    data = dataclasses.asdict(report)
    data["findings"] = [
        {**dataclasses.asdict(finding), "status": finding.status} for finding in report.findings
    ]
    return json.dumps(data, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    command.run(main, interrupted="")
