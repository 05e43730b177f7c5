"""`python -m ray_jobs.train --task hate --model.name openelm-270m`: fine-tunes, evaluates and publishes a
model.

Running the same command again resumes an interrupted run; a finished run is not trained again.
"""

import dataclasses
from typing import Annotated

import tyro

from ray_jobs.cli import USUAL, refuse
from ray_jobs.cli import run as run_job
from ray_jobs.run_dir import Finished, check_typed_name, finished_before, hold
from ray_jobs.training.preflight import check_out, check_places
from ray_jobs.training.report_copy import SCORES_FILE, copy_report
from ray_jobs.training.summary import summary
from tweetelm.cli import command
from tweetelm.config.train_config import TrainConfig, check_effects


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Fine-tune an OpenELM model into a tweet classifier, evaluate it and publish it.

    Run the same command again to resume.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    plan: bool = False
    """Print the estimated steps, memory, FLOP and duration, then exit."""
    report: str | None = None
    """Folder or URL for a copy of the report, with scores.json and, for DVC and spreadsheets, CSV files of
    the learning curve and of the confusion matrices."""


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.train", usual=USUAL)
        check_typed_name(arguments.config.name)
        check_effects(arguments.config)
        if not arguments.plan:
            return train(arguments.config, arguments.report)
        from ray_jobs.training.job import plan  # takes seconds: it imports Ray and torch

        print(plan(arguments.config))
        return 0


def train(config: TrainConfig, report: str | None = None) -> int:
    """Train, evaluate, publish, copy the report and print the result. Returns the exit status."""
    if report is not None:
        check_out(report, "--report")
    finished = finished_before(config)
    if finished is None:
        with hold(config) as finished:  # another command may have finished it meanwhile
            if finished is None:
                check_places(config)
                from ray_jobs.training.job import train_and_publish  # takes seconds, too

                return _show(config, train_and_publish(config), report)
    print(f"{config.run_name} is already finished: nothing to train")
    return _show(config, finished, report)


def _show(config: TrainConfig, finished: Finished, report: str | None) -> int:
    print(summary(config, finished))
    if report is not None:
        print(f"report in {copy_report(config, finished, report)}/report.html, scores in {SCORES_FILE} there")
    return 0


if __name__ == "__main__":
    run_job(main)
