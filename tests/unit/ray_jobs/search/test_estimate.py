"""The plan of a search: duration, cost and concurrency."""

import dataclasses
import re
from pathlib import Path

import pytest
from ray import tune

from ray_jobs.cluster.connect import Resources
from ray_jobs.search.estimate import Price, describe_search
from ray_jobs.search.job import make_search, with_layers
from ray_jobs.search.search import Search, share
from ray_jobs.search.spaces import as_grid, check, find_space, grid_size, most_epochs, samples
from ray_jobs.training.resources import max_concurrent, reserve
from ray_jobs.tune import Arguments
from tweetelm.config.overrides import override
from tweetelm.config.train_config import DataConfig, ModelConfig, RunConfig, TrainConfig

LAPTOP = Resources(cpus=2, gpus=0, local=True)
EIGHT_GPUS = Resources(cpus=64, gpus=8, local=True)


def base(**run: object) -> TrainConfig:
    return TrainConfig(
        task="hate",
        data=DataConfig(root="sample"),
        model=ModelConfig(name="scratch-1m"),
        run=RunConfig(**run),  # type: ignore[arg-type]
    )


def plan(**changes: object) -> Search:
    made = Search(base=base(), space=find_space("tiny"), count=8, concurrent=2)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("workers", "cpus", "here", "fit"),
    [
        (1, None, LAPTOP, 2),
        (2, None, LAPTOP, 1),
        (1, 2, LAPTOP, 1),
        (1, None, EIGHT_GPUS, 8),
        (3, None, EIGHT_GPUS, 2),
        (8, None, EIGHT_GPUS, 1),
    ],
)
def test_concurrency_is_limited_by_resources(
    workers: int, cpus: int | None, here: Resources, fit: int
) -> None:
    assert max_concurrent(base(workers=workers, cpus=cpus), here) == fit


def test_too_large_run_error_shows_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"3 workers x 1 CPU = 3 CPUs, but this machine has 2"):
        max_concurrent(base(workers=3), LAPTOP)


def test_cpus_per_worker_count_in_the_limit() -> None:
    with pytest.raises(ValueError, match=r"2 workers x 2 CPU = 4 CPUs, but this machine has 2"):
        reserve(base(workers=2, cpus=2), LAPTOP)


def test_cuda_graphs_need_one_gpu() -> None:
    config = override(base(), {"loop.cuda_graphs": True})
    with pytest.raises(ValueError, match="needs one GPU, this run has no GPU"):
        reserve(config, LAPTOP)
    with pytest.raises(ValueError, match="needs one GPU, this run has 2 workers"):
        reserve(override(config, {"run.workers": 2}), EIGHT_GPUS)
    reserve(config, EIGHT_GPUS)


def test_cluster_run_says_what_it_waits_for() -> None:
    cluster = Resources(cpus=8, gpus=2, local=False)
    assert reserve(base(workers=4), cluster).waiting.startswith("waiting for 4 GPUs; the cluster has 2")
    assert reserve(base(workers=2), cluster).waiting == ""


def test_elastic_run_needs_only_min_workers() -> None:
    few = base(workers=4, min_workers=2)
    assert reserve(few, LAPTOP).scaling.num_workers == (2, 4)
    with pytest.raises(ValueError, match=r"at least 3 workers x 1 CPU = 3 CPUs, but this machine has 2"):
        reserve(base(workers=4, min_workers=3), LAPTOP)
    assert reserve(base(workers=2, min_workers=2), LAPTOP).scaling.num_workers == 2
    assert max_concurrent(few, EIGHT_GPUS) == 2, "trials at once have all of their workers"


def test_elastic_run_waits_only_for_min_workers() -> None:
    cluster = Resources(cpus=8, gpus=2, local=False)
    assert reserve(base(workers=4, min_workers=2), cluster).waiting == ""
    waiting = reserve(base(workers=8, min_workers=3), cluster).waiting
    assert waiting.startswith("waiting for 3 GPUs; the cluster has 2")
    assert waiting.endswith("--run.min-workers 2")


def test_one_extra_trial_starts_early() -> None:
    assert share(plan(), 2, LAPTOP).ahead == 1
    assert share(plan(), 1, LAPTOP).ahead == 1  # one trial at a time gets both CPUs
    assert share(plan(count=2), 2, LAPTOP).ahead == 0
    assert share(plan(), 2, EIGHT_GPUS).ahead == 0, "it would not wait, but train"


def test_concurrent_trials_divide_the_cpus() -> None:
    four = Resources(cpus=4, gpus=0, local=True)
    assert share(plan(), 2, four).base.run.cpus == 2
    assert share(plan(base=base(workers=2)), 2, four).base.run.cpus == 1
    assert share(plan(base=base(cpus=1)), 2, four).base.run.cpus == 1
    assert share(plan(), 2, EIGHT_GPUS).base.run.cpus is None


def test_plan_shows_duration_and_cost() -> None:
    text = describe_search(plan(), LAPTOP, Price(per_hour=36.0, tflops=0.01))
    assert "8, proposed by random, 2 concurrent" in text
    about, most = re.search(r"cost +about ([\d.]+) with pruning, at most ([\d.]+)", text).groups()  # type: ignore[union-attr]
    assert 0 < float(about) < float(most)
    dearer = describe_search(plan(), LAPTOP, Price(per_hour=72.0, tflops=0.01))
    assert float(re.search(r"at most ([\d.]+)$", dearer)[1]) == pytest.approx(2 * float(most), rel=0.01)  # type: ignore[index]


def test_plan_for_absent_gpus_states_assumptions() -> None:
    text = describe_search(plan(concurrent=8), EIGHT_GPUS, Price(per_hour=2.0))
    assert "assumed; set --tflops" in text


def test_grid_needs_listed_values() -> None:
    listed = {"model.dropout": tune.choice([0.0, 0.1]), "loop.epochs": tune.choice([1, 2, 3])}
    assert grid_size(listed) == 6
    assert as_grid(listed)["loop.epochs"] == {"grid_search": [1, 2, 3]}
    assert plan(space=listed, propose="grid").trials == 6
    with pytest.raises(ValueError, match=r"optim\.lr is a range.*--propose random"):
        as_grid({"optim.lr": tune.loguniform(1e-4, 1e-3)})


def test_longest_trial_sets_the_pruning_epochs() -> None:
    assert most_epochs({"loop.epochs": tune.choice([1, 5])}, base()) == 5
    assert most_epochs({}, base()) == base().loop.epochs


def test_both_ends_of_a_range_are_checked() -> None:
    with pytest.raises(ValueError, match=r"dropout is 1\.5"):
        check({"model.dropout": tune.uniform(0.0, 1.5)}, base())


def test_unknown_space_suggests_a_known_one() -> None:
    with pytest.raises(ValueError, match="did you mean tiny"):
        find_space("tinny")


def test_planning_samples_are_reproducible() -> None:
    first = samples(find_space("tiny"), 3, 0)
    tune.loguniform(1, 2).sample()
    assert samples(find_space("tiny"), 3, 0) == first


def test_no_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="--trials is 0; expected at least 1"):
        Arguments(config=base(), trials=0)


def test_search_with_an_unknown_teacher_is_not_planned(tmp_path: Path) -> None:
    taught = override(base(), {"distill.teacher": "20200101-abcdef", "run.registry": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match="hate has no published version"):
        make_search(taught, "tiny")


def test_repeated_depths_are_one() -> None:
    assert with_layers("tiny", (3, 2, 3))["model.layers"].categories == [3, 2]
