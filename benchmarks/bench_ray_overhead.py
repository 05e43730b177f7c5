"""What Ray Train costs over the bare loop: the same run both ways, in seconds."""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.timing import machine, publish
from ray_jobs.cluster import connect
from ray_jobs.launch import run
from tweetelm.config import DataConfig, LoopConfig, ModelConfig, RunConfig, TrackingConfig, TrainConfig
from tweetelm.evaluation.metrics import quick_score
from tweetelm.predictor import classify_packed
from tweetelm.tasks import HATE
from tweetelm.training.loop import fit
from tweetelm.training.setup import build_state, prepare
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
    """The loop alone, in this process, with the same validations and checkpoints."""
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [machine(), ""]
    start = time.perf_counter()
    resources = connect()
    lines.append(f"starting a local cluster: {time.perf_counter() - start:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        bare(configuration(folder, "warm-up"))
        for number in range(arguments.rounds):
            start = time.perf_counter()
            bare(configuration(folder, f"bare-{number}"))
            alone = time.perf_counter() - start
            start = time.perf_counter()
            run(configuration(folder, f"ray-{number}"), resources)
            with_ray = time.perf_counter() - start
            lines.append(
                f"round {number + 1}: bare loop {alone:.1f} s, under Ray Train {with_ray:.1f} s, "
                f"{with_ray - alone:.1f} s more"
            )
    publish("Ray Train's overhead", lines, arguments.out)


if __name__ == "__main__":
    main()
