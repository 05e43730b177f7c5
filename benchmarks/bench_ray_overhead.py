"""Overhead of Ray Train over the plain training loop, and of Ray Tune over Ray Train, in seconds.

Training starts when the first worker opens the history, and ends when the last history line is written.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import torch
from ray import tune

from benchmarks.timing import machine, publish
from ray_jobs.cluster.connect import Resources, connect
from ray_jobs.search.search import Search, search, share
from ray_jobs.training.launcher import run
from tweetelm.config.train_config import (
    DataConfig,
    LoopConfig,
    ModelConfig,
    RunConfig,
    TrackingConfig,
    TrainConfig,
)
from tweetelm.evaluation.metrics import quick_score
from tweetelm.predictor import classify_packed
from tweetelm.tasks import HATE
from tweetelm.training.build_classifier import build_state
from tweetelm.training.loop import fit
from tweetelm.training.prepare import prepare
from tweetelm.training.strategy import DataParallel


def configuration(folder: str, name: str) -> TrainConfig:
    """A short run of the smallest model on the embedded sample."""
    return TrainConfig(
        task="hate",
        name=name,
        data=DataConfig(root="sample"),
        model=ModelConfig(name="scratch-1m"),
        loop=LoopConfig(epochs=3, batch_tokens=1024, micro_tokens=1024),
        run=RunConfig(storage=folder),
        tracking=TrackingConfig(wandb="off"),
    )


def bare(config: TrainConfig) -> None:
    """Run the training loop in this process, with the same validations and checkpoints."""
    prepared = prepare(config)
    device = torch.device("cpu")
    state = build_state(config, prepared, device)
    rows = prepared.validation

    def scorer(model: torch.nn.Module) -> dict[str, float]:
        logits = classify_packed(model, rows.sequences(range(len(rows))), 1024)  # type: ignore[arg-type]
        return quick_score(rows.labels, logits.softmax(-1).numpy(), HATE)

    strategy = DataParallel(device=device)
    for report in fit(state, prepared.train, config, strategy=strategy, scorer=scorer, metric="macro_f1"):
        if report.checkpoint:
            with tempfile.TemporaryDirectory() as folder:
                state.save(Path(folder), {})


class Watch(threading.Thread):
    """Records when the histories under a folder appear and when they were last written."""

    def __init__(self, folder: str) -> None:
        super().__init__(daemon=True)
        self.folder, self.over = Path(folder), threading.Event()
        self.opened: dict[str, float] = {}
        self.written: dict[str, float] = {}

    def run(self) -> None:
        while not self.over.wait(0.05):
            for path in self.folder.glob("*/history.jsonl"):
                self.opened.setdefault(path.parent.name, time.time())
                self.written[path.parent.name] = path.stat().st_mtime

    def trained(self, run: str) -> float:
        """Seconds from the first to the last history line of a run."""
        return self.written[run] - self.opened[run]


def one_run(folder: str, name: str, resources: Resources, watch: Watch) -> str:
    """Time one run without and with Ray Train, and break down the difference."""
    start = time.time()
    bare(configuration(folder, f"bare-{name}"))
    plain = time.time() - start
    start = time.time()
    config = configuration(folder, f"ray-{name}")
    run(config, resources, prepare(config))
    with_ray, opened, written = time.time() - start, watch.opened[f"ray-{name}"], watch.written[f"ray-{name}"]
    return (
        f"- run {name}: plain loop {plain:.1f} s, Ray Train {with_ray:.1f} s, overhead "
        f"{with_ray - plain:.1f} s. Until the worker trains {opened - start:.1f} s, training "
        f"{written - opened:.1f} s, until the call returns {start + with_ray - written:.1f} s"
    )


def one_search(folder: str, trials: int, resources: Resources, watch: Watch) -> str:
    """Run a search with one trial at a time; returns the overhead per trial."""
    base = configuration(folder, "search")
    space = {"optim.lr": tune.loguniform(1e-3, 1.1e-3)}
    plan = share(Search(base=base, space=space, count=trials, concurrent=1), 1, resources)
    start = time.time()
    result, _, _ = search(plan, resources)
    total = time.time() - start
    trained = sum(watch.trained(trial.run) for trial in result.trials)
    first, last = (
        min(watch.opened[t.run] for t in result.trials),
        max(watch.written[t.run] for t in result.trials),
    )
    between = (last - first - trained) / max(1, trials - 1)
    return (
        f"- search of {trials} trials, one at a time: {total:.1f} s, {trained:.1f} s of it training; "
        f"overhead {(total - trained) / trials:.1f} s per trial. Until the first trial trains "
        f"{first - start:.1f} s, between the training of two trials {between:.1f} s, from the last history "
        f"line to the result {start + total - last:.1f} s"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--trials", type=int, default=4, help="trials of the search")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    lines = [machine(), ""]
    start = time.perf_counter()
    resources = connect()
    lines.append(f"- start of a local cluster: {time.perf_counter() - start:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(folder)
        watch.start()
        bare(configuration(folder, "warm-up"))
        lines += [one_run(folder, str(number), resources, watch) for number in range(arguments.rounds)]
        lines.append(one_search(folder, arguments.trials, resources, watch))
        watch.over.set()
    publish("Ray overhead", lines, arguments.out)


if __name__ == "__main__":
    main()
