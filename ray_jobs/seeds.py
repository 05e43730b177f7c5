"""`python -m ray_jobs.seeds --task hate --seeds 5 …`: trains with several seeds and reports the variation.

Running the same command again resumes interrupted seeds; finished ones are not trained again.
"""

import contextlib
import csv
import dataclasses
import io
import json
import math
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from ray_jobs.cli import USUAL, refuse
from ray_jobs.cli import run as run_job
from ray_jobs.run_dir import check_typed_name, claim, hold, read_finished
from ray_jobs.training.preflight import check_out
from tweetelm.cli import command
from tweetelm.config.train_config import TrainConfig, check_effects
from tweetelm.evaluation.report.document import Interval
from tweetelm.files import object_storage
from tweetelm.tasks import metric_name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Train with several seeds; report the mean, standard deviation and 95% interval of every score.

    Nothing is published. Run the same command again to resume.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    seeds: int = 5
    """Number of seeds: 0, 1, 2, …"""
    out: str | None = None
    """Folder or URL for seeds.json and, per split, a table of each row's probability under each seed.
    Default: a folder in --run.storage."""


def main() -> int:
    """Run the command; returns the exit status."""
    with refuse():
        arguments = command.parse(Arguments, module="ray_jobs.seeds", usual=USUAL)
        return seeds(arguments)


def seeds(arguments: Arguments) -> int:
    """Train the missing seeds, write the tables and print the scores; returns the exit status."""
    check_typed_name(arguments.config.name)
    check_effects(arguments.config)
    if arguments.out is not None:
        check_out(arguments.out, "--out")
    spread, notices = train_seeds(arguments.config, arguments.seeds)
    print(table(spread, notices))
    runs = [with_seed(arguments.config, seed).folder for seed in range(arguments.seeds)]
    out = arguments.out or f"{arguments.config.run.storage_folder}/{seeds_name(arguments.config)}"
    write(out, runs, spread, notices)
    print(f"seeds.json and the probabilities of each row are in {out}")
    return 0


def train_seeds(config: TrainConfig, count: int, *, least: int = 2) -> tuple[dict[str, Any], list[str]]:
    """Train those of the seeds 0 to `count` - 1 that are not finished.

    Args:
        config: configuration of the runs.
        count: number of seeds.
        least: the smallest number allowed; intervals need two.

    Returns:
        The statistics of their scores (see `spreads`), and the notices that must accompany them.

    Raises:
        ValueError: `count` is below `least`, or a seed's name belongs to another run.
    """

    if count < least:
        raise ValueError(f"--seeds is {count}; expected at least {least}")
    runs = [with_seed(config, seed) for seed in range(count)]
    with contextlib.ExitStack() as locks:
        for seed_config in runs:
            locks.enter_context(hold(seed_config))  # refuses a run of this name with another configuration
            claim(seed_config)
        missing = [seed_config for seed_config in runs if read_finished(seed_config) is None]
        if missing:
            from ray_jobs.training.job import train_all  # takes seconds: it imports Ray and torch

            train_all(missing)
    results = [finished for seed_config in runs if (finished := read_finished(seed_config))]
    return spreads([finished.scores for finished in results]), results[0].notices


def seeds_name(config: TrainConfig) -> str:
    """Return the name prefix of the seeds' runs."""
    return config.name or f"seeds-{config.run_name}"


def with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """Return the configuration of one seed."""
    return dataclasses.replace(
        config,
        name=f"{seeds_name(config)}-seed{seed}",
        loop=dataclasses.replace(config.loop, seed=seed),
        run=dataclasses.replace(config.run, publish=False),
    )


def spreads(scores: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, by split and score, the values of all seeds, their mean, standard deviation, and the 95%
    confidence interval of the mean (Student's t)."""
    return {
        split: {key: spread_of([seed[split][key] for seed in scores]) for key in found}
        for split, found in scores[0].items()
    }


def spread_of(values: list[float]) -> dict[str, Any]:
    """The statistics of one score, see `spreads`; of a single seed, the mean only."""
    from scipy.stats import t

    nothing = {"values": values, "mean": None, "sd": None, "low": None, "high": None}
    if any(value is None for value in values):
        return nothing
    count, mean = len(values), math.fsum(values) / len(values)
    if count == 1:
        return nothing | {"mean": mean}
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(t.ppf(0.975, count - 1)) * sd / math.sqrt(count)
    return {"values": values, "mean": mean, "sd": sd, "low": mean - half, "high": mean + half}


def mean_cell(found: dict[str, Any]) -> float | Interval | None:
    """The mean with its interval if there is one, for a table of a report."""
    if found["low"] is None:
        mean: float | None = found["mean"]
        return mean
    return Interval(value=found["mean"], low=found["low"], high=found["high"])


def table(spread: dict[str, dict[str, dict[str, Any]]], notices: Sequence[str]) -> str:
    """Return a table of mean ± standard deviation with the interval of the mean, for a terminal."""
    lines = ["", *(f"! {notice}" for notice in notices)]
    names = next(iter(spread.values()))
    lines.append(f"{'split':<12}" + "".join(f"{metric_name(name):>36}" for name in names))
    for split, scores in spread.items():
        lines.append(f"{split:<12}" + "".join(f"{_cell(scores[key]):>36}" for key in names))
    return "\n".join(lines)


def _cell(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return "-"
    return f"{found['mean']:.4f} ± {found['sd']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


def write(out: str, runs: Sequence[str], spread: dict[str, Any], notices: Sequence[str]) -> None:
    """Write seeds.json, and per split a CSV with the row number and the positive class's probability under
    each seed. The files contain no text and no labels."""
    document = {"runs": [run.rsplit("/", 1)[-1] for run in runs], "notices": list(notices), "scores": spread}
    object_storage.write(f"{out}/seeds.json", (json.dumps(document, indent=2) + "\n").encode())
    for split in spread:
        columns = [_probabilities(f"{run}/evaluation/predictions-{split}.csv") for run in runs]
        head = ",".join(["row", *(f"seed{number}" for number in range(len(runs)))])
        rows = (",".join([str(i), *row]) for i, row in enumerate(zip(*columns, strict=True)))
        object_storage.write(f"{out}/{split}.csv", ("\n".join([head, *rows]) + "\n").encode())


def _probabilities(path: str) -> list[str]:
    found = object_storage.read(path)
    if found is None:
        raise FileNotFoundError(
            f"{path} does not exist; delete the run's finished.json and run the command again"
        )
    try:
        reader = csv.DictReader(io.StringIO(found.decode(), newline=""), strict=True)
        positive = [name for name in reader.fieldnames or [] if name not in ("row", "predicted")][-1]
        return [f"{float(line[positive]):.6f}" for line in reader]
    except (ValueError, IndexError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete the run's "
            "finished.json and run the command again"
        ) from error


if __name__ == "__main__":
    run_job(main)
