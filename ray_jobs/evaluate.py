"""`python -m ray_jobs.evaluate --task hate`: score a published version, or a checkpoint, on validation and
test.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ray_jobs.console import refuse
from tweetelm.tasks import TASKS, TaskName


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Evaluate a model: metrics, plots and one prediction per row, written to a folder."""

    task: TaskName
    version: str | None = None
    """A published version; by default the one that is served."""
    checkpoint: Path | None = None
    """A checkpoint folder instead of a published version."""
    registry: str = "models"
    """Folder or URL of published models."""
    data: str = "data"
    """Folder that `dvc pull` fills, or `sample` for the embedded synthetic sample."""
    out: Path | None = None
    """Folder for the report; by default evaluation-<version>."""
    precision: Literal["auto", "bf16", "float32"] = "float32"
    """float32 gives the numbers that publishing recorded."""


def main() -> int:
    """Command line."""
    arguments = tyro.cli(Arguments, prog="python -m ray_jobs.evaluate", description=Arguments.__doc__)
    with refuse():
        return evaluate(arguments)


def evaluate(arguments: Arguments) -> int:
    """Score, write, and print. Returns the exit status."""
    from transformers.utils.logging import disable_progress_bar

    from tweetelm.data import load, provenance
    from tweetelm.evaluation import evaluate as evaluation
    from tweetelm.evaluation.report import write
    from tweetelm.precision import use_fast_float32
    from tweetelm.predictor import Predictor
    from tweetelm.registry import resolve
    from tweetelm.registry.card import Card

    disable_progress_bar()
    task = TASKS[arguments.task]
    folder = arguments.checkpoint
    if folder is None:
        folder = resolve(arguments.task, registry=arguments.registry, version=arguments.version)
    predictor = Predictor.load(folder, precision=arguments.precision)
    if predictor.task != task:
        raise ValueError(
            f"{folder} answers {predictor.task.name!r}, not {task.name!r}; use --task {predictor.task.name}"
        )
    use_fast_float32(next(predictor.model.parameters()).device)
    result = evaluation.evaluate(predictor, load(task, arguments.data))
    out = arguments.out or Path(f"evaluation-{predictor.version or folder.name}")
    card = folder / "card.json"
    known = Card.from_json(card.read_text(encoding="utf-8")) if card.is_file() else None
    write(result, out, provenance(task, arguments.data), known)
    print(result.summary())
    print(f"report in {out}/report.md, metrics in {out}/metrics.json, one prediction per row beside them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
