"""A training job: plan it, or run it from its configuration to the published model."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ray_jobs.cluster.connect import connect, survey
from ray_jobs.run_dir import Finished
from ray_jobs.training.estimate import describe_plan
from ray_jobs.training.launcher import run
from ray_jobs.training.preflight import check_space
from ray_jobs.training.publish import evaluate_and_publish
from ray_jobs.training.resources import max_concurrent, share_cpus
from ray_jobs.training.teaching import taught
from tweetelm.config.train_config import TrainConfig
from tweetelm.distillation import find_teacher
from tweetelm.openelm.flops import cost
from tweetelm.openelm.presets import PRESETS
from tweetelm.registry import git_state
from tweetelm.training.base_model import first_layers
from tweetelm.training.prepare import prepare


def plan(config: TrainConfig) -> str:
    """Return the estimated steps, memory, FLOP and duration of a run, as a table."""
    find_teacher(config)
    return describe_plan(config, prepare(config, weights=False), survey())


def train_and_publish(config: TrainConfig) -> Finished:
    """Prepare, train or resume, evaluate the best checkpoint and publish it.

    Raises:
        FileNotFoundError: data, weights or tokenizer are missing.
        ValueError: the configuration fits neither the data nor the machine, or the name is taken.
        OSError: the storage cannot be written or lacks space.
    """
    if config.model.name in PRESETS:
        check_space(config, cost(first_layers(config.model)))  # before anything is downloaded
    find_teacher(config)
    prepared = prepare(config)
    resources = connect()
    prepared = taught(config, prepared, resources)
    outcome = run(config, resources, prepared)
    return evaluate_and_publish(config, outcome, resources, git_state(Path.cwd()))


def train_all(runs: list[TrainConfig]) -> None:
    """Train as many runs at once as fit, then evaluate each; they differ in their seeds."""
    resources = connect()
    concurrent = min(max_concurrent(runs[0], resources), len(runs))
    print(f"training {len(runs)} seed{'s' * (len(runs) > 1)}, {concurrent} concurrent", flush=True)
    runs = [share_cpus(config, concurrent, resources) for config in runs]
    prepared = [taught(config, prepare(config), resources) for config in runs]
    with ThreadPoolExecutor(concurrent) as pool:
        outcomes = list(pool.map(lambda config, ready: run(config, resources, ready), runs, prepared))
    for config, outcome in zip(runs, outcomes, strict=True):
        evaluate_and_publish(config, outcome, resources, None)
        print(f"{config.run_name}: trained and evaluated", flush=True)
