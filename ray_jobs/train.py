"""`python -m ray_jobs.train --task hate --model.name openelm-270m`: fine-tune, evaluate, publish.

The same command again resumes an interrupted run, or says that it is done.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from ray_jobs.console import USUAL, refuse, typed
from ray_jobs.console import run as run_job
from tweetelm import cli
from tweetelm.config import TrainConfig
from tweetelm.tasks import TASKS

if TYPE_CHECKING:
    from ray_jobs.runs import Finished


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
    arguments = cli.parse(Arguments, prog="python -m ray_jobs.train", usual=USUAL)
    with refuse():
        return train(arguments.config, plan_only=arguments.plan)


def train(config: TrainConfig, *, plan_only: bool = False) -> int:
    """Train, evaluate, publish and say what came out. Returns the exit status."""
    from ray_jobs.runs import already_finished, check_name, run_folder

    if not plan_only and check_name(config) and (done := already_finished(config)):
        print(f"{config.run_name} is finished already: nothing to train")
        print(summary(config, done))
        return 0
    from ray_jobs.cluster import connect, survey  # here: this takes seconds, and the above answers at once
    from ray_jobs.finish import evaluate_and_publish
    from ray_jobs.launch import check_space, run
    from ray_jobs.placement import scaling
    from ray_jobs.planning import describe_plan
    from tweetelm.openelm.accounting import cost
    from tweetelm.openelm.presets import PRESETS, preset_config
    from tweetelm.registry import git_state
    from tweetelm.training.setup import prepare

    if config.model.name in PRESETS:
        check_space(config, cost(preset_config(config.model.name)))
    prepared = prepare(config, weights=not plan_only)
    if plan_only:
        print(describe_plan(config, prepared, survey()))
        return 0
    resources = connect()
    scaling(config, resources)
    print(f"run {config.run_name}: checkpoints and history in {typed(run_folder(config))}", flush=True)
    outcome = run(config, resources, prepared=prepared)
    finished = evaluate_and_publish(config, outcome, resources, git_state(Path.cwd()))
    print(summary(config, finished))
    return 0


def summary(config: TrainConfig, finished: "Finished") -> str:
    """The results table, where things are, and the next commands to type."""
    task = TASKS[config.task]
    lines = ["", *(f"! {notice}" for notice in finished.notices)]
    lines.append(f"{'split':<12} {'macro-F1':>9} {'accuracy':>9} {'AUROC':>9}")
    for split, scores in finished.scores.items():
        values = (scores[key] for key in ("macro_f1", "accuracy", "auroc"))
        lines.append(f"{split:<12} " + " ".join(f"{'-' if v is None else f'{v:.4f}':>9}" for v in values))
    if finished.version:
        state = "now served" if finished.promoted else f"stored, not promoted: {finished.reason}"
        place = f"{config.run.registry}/{task.name}/versions/{finished.version}"
        lines += [f"published    {place} ({state})", "next:"]
        lines += [
            f"  python -m ray_jobs.evaluate --task {task.name} --version {finished.version}",
            f"  python -m tweetelm.registry show {task.name}",
            f"  python -m serve --registry {config.run.registry}",
        ]
    else:
        lines.append(f"not published; the best checkpoint is in {config.run.storage}/{config.run_name}")
    return "\n".join(lines)


if __name__ == "__main__":
    run_job(main)
