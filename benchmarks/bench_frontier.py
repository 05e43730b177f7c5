"""Quality against cost: every model of a task in every precision, and TF-IDF with logistic regression.

    python -m benchmarks.bench_frontier --task hate --data data --out benchmarks/results/frontier-hate.md \
        --model "SmolLM2-135M=models/hate/versions/20261129-c7ce03" "scratch-4m, student=runs/student-seed*"

Speed: one thread, real tweets of the test split with normalization and tokenization, all sides in turn in one
process. Quality: the validation and the test split in the precision of the line; the mean over the folders of
a pattern, which are the seeds of a model. The plot is written next to the report.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import DatasetDict
from matplotlib.axes import Axes

from benchmarks.bench_evasion import Tfidf
from benchmarks.timing import Timing, Variant, machine, publish, run_interleaved
from tweetelm.config.text_config import TextConfig
from tweetelm.data import load
from tweetelm.evaluation.evaluate import labels_of
from tweetelm.evaluation.metrics import score
from tweetelm.evaluation.report.plots import COLORS, QUIET, draw, standalone
from tweetelm.files.json_file import parse_object
from tweetelm.openelm.flops import cost
from tweetelm.precision import InferencePrecision
from tweetelm.predictor import Predictor
from tweetelm.tasks import Task, as_task, metric_name
from tweetelm.training.state import STATE_FILE

_SECONDS = 2.0  # of a timed call
_MOST = 4096  # tweets of a timed call
_SPLITS = ("validation", "test")
_MARKS = {"": "s", "float32": "o", "bf16": "D", "int8": "^"}


@dataclass(frozen=True, kw_only=True)
class Side:
    """A line of the table.

    Attributes:
        name: of the model.
        precision: its arithmetic; empty for TF-IDF.
        parameters: number of weights that are multiplied for each token.
        scores: by split, the metrics of each seed.
        predict: classifies texts; of the first seed.
    """

    name: str
    precision: str
    parameters: int
    scores: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    predict: Callable[[Sequence[str]], object]

    def score(self, split: str, metric: str) -> str:
        """Mean, and standard deviation of several seeds."""
        values = [each[metric] for each in self.scores[split]]
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        return f"{np.mean(values):.4f}{spread}"


def sides(
    task: Task, dataset: DatasetDict, models: dict[str, list[Path]], precisions: Sequence[InferencePrecision]
) -> list[Side]:
    """All lines. Every model stays in memory, because all are timed in turn."""
    found = [_tfidf(task, dataset)]
    for name, folders in models.items():
        for precision in precisions:
            print(f"{name}, {precision}: predicting {', '.join(_SPLITS)}", flush=True)
            loaded = [Predictor.load(folder, device="cpu", precision=precision) for folder in folders]
            first = loaded[0]
            if first.precision != precision:
                print(f"{name}: {precision} was not accepted: {first.precision}", flush=True)
                continue
            found.append(
                Side(
                    name=name,
                    precision=precision,
                    parameters=cost(first.model.config).linear,
                    scores={split: [_score(each, dataset, split) for each in loaded] for split in _SPLITS},
                    predict=first.predict,
                )
            )
    return found


def _tfidf(task: Task, dataset: DatasetDict) -> Side:
    model = Tfidf.fit(task, dataset["train"]["text"], labels_of(dataset["train"], task), TextConfig())
    scores = {split: [_quick(task, dataset, split, model.probabilities)] for split in _SPLITS}
    return Side(
        name="TF-IDF, logistic regression",
        precision="",
        parameters=0,
        scores=scores,
        predict=model.probabilities,
    )


def _score(predictor: Predictor, dataset: DatasetDict, split: str) -> dict[str, Any]:
    def probabilities(texts: Sequence[str]) -> Any:
        return [each.probabilities for each in predictor.predict(texts)]

    return _quick(predictor.task, dataset, split, probabilities)


def _quick(
    task: Task, dataset: DatasetDict, split: str, probabilities: Callable[[Sequence[str]], Any]
) -> dict[str, Any]:
    rows = dataset[split]
    return score(labels_of(rows, task), np.asarray(probabilities(list(rows["text"]))), task)


def timed(lines: Sequence[Side], texts: Sequence[str], rounds: int) -> list[Timing]:
    """Time all sides in turn, each with as many tweets as it classifies in about two seconds."""
    variants = {}
    for position, side in enumerate(lines):
        some = list(texts[:64])
        side.predict(some)
        start = time.perf_counter()
        side.predict(some)
        count = min(_MOST, max(64, round(64 * _SECONDS / (time.perf_counter() - start))))
        many = [texts[number % len(texts)] for number in range(count)]
        variants[str(position)] = Variant(lambda side=side, many=many: side.predict(many), count)  # type: ignore[misc]
    return list(run_interleaved(variants, rounds).values())


def report(
    task: Task, lines: Sequence[Side], timings: Sequence[Timing], price: float, before: str
) -> list[str]:
    """The table."""
    metrics = list(dict.fromkeys([task.metric, "auroc"] if task.binary else [task.metric]))
    heads = [f"{split} {metric_name(metric)}" for split in _SPLITS for metric in metrics]
    columns = [
        "model",
        "precision",
        "multiplied weights",
        *heads,
        "tweets/s per core",
        "$ per billion tweets",
    ]
    rows = [
        [
            side.name,
            side.precision,
            f"{side.parameters / 1e6:.1f} M" if side.parameters else "",
            *(side.score(split, metric) for split in _SPLITS for metric in metrics),
            str(timing.rate),
            _amount(dollars(timing.rate.median, price)),
        ]
        for side, timing in zip(lines, timings, strict=True)
    ]
    return [
        before,
        "",
        f"`{task.name}`. Speed: one thread, median (range) of {len(timings[0].wall)} rounds, with "
        f"normalization and tokenization, all sides in turn. Cost: ${price:g} per core and hour at full use.",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'---|' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def dollars(rate: float, price: float) -> float:
    """Price of a billion tweets at `rate` tweets/s per core and `price` per core and hour."""
    return 1e9 / rate / 3600 * price


def _amount(price: float) -> str:
    """Whole dollars, or two digits of less than ten."""
    return f"{price:,.0f}" if price >= 10 else f"{price:.2g}"


def plot(task: Task, lines: Sequence[Side], timings: Sequence[Timing], split: str) -> str:
    """The frontier as SVG: score over tweets/s, and a line through what nothing beats.

    Circles are float32, diamonds bf16, triangles int8.
    """
    points = [
        (timing.rate.median, float(np.mean([each[task.metric] for each in side.scores[split]])), side)
        for side, timing in zip(lines, timings, strict=True)
    ]

    def paint(axes: Axes) -> None:
        front = sorted(
            (x, y)
            for x, y, _ in points
            if not any(a >= x and b >= y and (a, b) != (x, y) for a, b, _ in points)
        )
        axes.plot(*zip(*front, strict=True), color=QUIET, lw=1, zorder=1)
        names = list(dict.fromkeys(side.name for _, _, side in points))
        for x, y, side in points:
            color = COLORS[names.index(side.name) % len(COLORS)]
            axes.plot(x, y, _MARKS[side.precision], color=color, ms=5, zorder=3)
        for name in names:
            x, y, _ = max((p for p in points if p[2].name == name), key=lambda p: p[0])
            axes.annotate(name, (x, y), xytext=(5, 4), textcoords="offset points", size=7)
        axes.set(xscale="log", xlabel="tweets/s per core", ylabel=f"{split} {metric_name(task.metric)}")
        axes.margins(x=0.3, y=0.1)

    return standalone(draw(f"frontier-{task.name}", "", paint, width=6.5, height=4.2).svg)


def parse_models(entries: Sequence[str], task: Task) -> dict[str, list[Path]]:
    """Folders by name, from `NAME=PATTERN`: versions, checkpoints, or runs, of which the best checkpoint."""
    found = {}
    for entry in entries:
        name, _, pattern = entry.partition("=")
        place = Path(pattern)
        folders = sorted(place.parent.glob(place.name)) if pattern else []
        if not folders:
            raise SystemExit(f"--model {entry!r}: no folder; expected NAME=FOLDER or a pattern of folders")
        found[name] = [_best_checkpoint(folder, task) for folder in folders]
    return found


def _best_checkpoint(folder: Path, task: Task) -> Path:
    if (folder / "config.json").is_file():
        return folder

    def score(path: Path) -> float:
        values = parse_object(path.read_bytes(), path, "train the run again")
        return float(values["metrics"].get(f"validation_{task.metric}", -math.inf))

    states = list(folder.glob(f"checkpoint_*/{STATE_FILE}"))
    if not states:
        raise SystemExit(f"{folder} is neither a model nor a run with checkpoints")
    return max(states, key=score).parent


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", required=True, help="a built-in task or a task file")
    parser.add_argument("--data", default="data", help="folder of the dataset, or sample")
    parser.add_argument("--model", nargs="+", required=True, metavar="NAME=FOLDERS")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=[name for name in _MARKS if name],
        default=["float32", "bf16", "int8"],
        dest="precisions",
    )
    parser.add_argument("--price", type=float, default=0.04, help="dollars per core and hour (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file of the report; the plot is next to it as .svg")
    options = parser.parse_args()
    before = machine()
    task = as_task(options.task)
    dataset = load(task, options.data)
    lines = sides(task, dataset, parse_models(options.model, task), options.precisions)
    torch.set_num_threads(1)
    timings = timed(lines, list(dataset["test"]["text"]), options.rounds)
    publish(
        f"Quality against cost: {task.name}", report(task, lines, timings, options.price, before), options.out
    )
    if options.out:
        svg = plot(task, lines, timings, "validation")
        options.out.with_suffix(".svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
