"""`python -m ray_jobs.train --task hate --model.name openelm-270m`: fine-tune, evaluate, publish.

The same command again resumes an interrupted run, or says that it is done.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from ray_jobs.cli import USUAL, refuse, typed
from ray_jobs.cli import run as run_job
from tweetelm.cli import command
from tweetelm.config.train_config import TrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Fine-tune an OpenELM model into a tweet classifier, evaluate it and publish it.

    Run again with the same arguments, it resumes where it stopped.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    plan: bool = False
    """Print what the run would take (steps, memory, arithmetic, duration) and stop."""


def main() -> int:
    """Command line."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.train", usual=USUAL)
        return train(arguments.config, plan_only=arguments.plan)


def train(config: TrainConfig, *, plan_only: bool = False) -> int:
    """Train, evaluate, publish and say what came out. Returns the exit status."""
    from ray_jobs.run_dir import check_typed_name, hold

    check_typed_name(config.name)
    if plan_only:
        print(_plan(config))
        return 0
    if _told_before(config):
        return 0
    with hold(config):
        return 0 if _told_before(config) else _train(config)  # another command may just have ended


def _told_before(config: TrainConfig) -> bool:
    """Whether the run was carried to its end before; if so, its result is printed again."""
    from ray_jobs.run_dir import already_finished, check_name
    from ray_jobs.training.summary import summary

    if not check_name(config) or not (done := already_finished(config)):
        return False
    print(f"{config.run_name} is finished already: nothing to train")
    print(summary(config, done))
    return True


def _plan(config: TrainConfig) -> str:
    from ray_jobs.cluster.connect import survey
    from ray_jobs.training.estimate import describe_plan
    from tweetelm.training.prepare import prepare

    return describe_plan(config, prepare(config, weights=False), survey())


def _train(config: TrainConfig) -> int:
    # Here, for it takes seconds: what is refused or finished answers at once.
    from ray_jobs.training.preflight import check_places, check_space

    check_places(config)
    from ray_jobs.cluster.connect import connect
    from ray_jobs.run_dir import run_folder
    from ray_jobs.training.launcher import run
    from ray_jobs.training.publish import evaluate_and_publish
    from ray_jobs.training.resources import scaling
    from ray_jobs.training.summary import summary
    from tweetelm.openelm.flops import cost
    from tweetelm.openelm.presets import PRESETS, preset_config
    from tweetelm.registry import git_state
    from tweetelm.training.prepare import prepare

    if config.model.name in PRESETS:
        check_space(config, cost(preset_config(config.model.name)))  # before anything is fetched
    prepared = prepare(config)
    resources = connect()
    scaling(config, resources)
    print(f"run {config.run_name}: checkpoints and history in {typed(run_folder(config))}", flush=True)
    outcome = run(config, resources, prepared=prepared)
    finished = evaluate_and_publish(config, outcome, resources, git_state(Path.cwd()))
    print(summary(config, finished))
    return 0


if __name__ == "__main__":
    run_job(main)
