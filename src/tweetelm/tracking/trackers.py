"""Writes the metrics of a run to its history.jsonl and to Weights & Biases.

Only rank 0 opens trackers. Steps are optimizer steps; a resumed run continues at the step of its checkpoint.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tweetelm.config.train_config import TrainConfig
from tweetelm.files import atomic
from tweetelm.tracking import HISTORY
from tweetelm.tracking.weights_biases import open_wandb

__all__ = ["HISTORY", "History", "Tracker", "Trackers", "open_trackers", "read_history"]


class Tracker(Protocol):
    """Records the metrics of a run."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record metrics at an optimizer step. Within a process, steps never decrease."""

    def finish(self, summary: dict[str, Any]) -> None:
        """Record the run's results and close. Nothing is logged afterwards."""

    def leave(self) -> None:
        """Close without results; the run may be resumed later. Nothing is logged afterwards."""


class Trackers:
    """Forwards all calls to several trackers."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = tuple(trackers)

    def log(self, metrics: dict[str, float], step: int) -> None:
        for tracker in self.trackers:
            tracker.log(metrics, step)

    def finish(self, summary: dict[str, Any]) -> None:
        for tracker in self.trackers:
            tracker.finish(summary)

    def leave(self) -> None:
        for tracker in self.trackers:
            tracker.leave()


class History:
    """Writes one line of JSON per call, passed to the operating system before the call returns.

    NaN and infinity become null, because JSON lacks them. Opening removes lines after `resume_step`,
    incomplete lines and an earlier summary, so that a resumed run and an uninterrupted one write the same
    file.
    """

    def __init__(self, path: Path, resume_step: int) -> None:
        lines = read_history(path) if path.is_file() else []
        kept = [line for line in lines if "step" in line and line["step"] <= resume_step]
        atomic.write_text(path, "".join(_line(line) for line in kept))
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def log(self, metrics: dict[str, float], step: int) -> None:
        self._file.write(_line({"step": step, **metrics}))

    def finish(self, summary: dict[str, Any]) -> None:
        self._file.write(_line({"summary": summary}))
        self._file.close()

    def leave(self) -> None:
        self._file.close()


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a history; skips lines that a crash left incomplete."""
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def open_trackers(
    config: TrainConfig,
    run_dir: Path,
    resume_step: int,
    *,
    api_key_present: bool,
    environ: Mapping[str, str] | None = None,
    place: str | None = None,
) -> Tracker:
    """Open the trackers of a run.

    Args:
        config: the run's configuration.
        run_dir: local folder for history.jsonl and wandb's files.
        resume_step: step of the checkpoint to resume from; 0 for a new run.
        api_key_present: from `has_api_key`.
        environ: environment variables; those of W&B override `config`.
        place: the run's folder or URL; by default, `run_dir`.
    """
    wandb = open_wandb(config, run_dir, api_key_present=api_key_present, environ=environ, place=place)
    return Trackers([History(run_dir / HISTORY, resume_step), *([wandb] if wandb else [])])


def _line(values: dict[str, Any]) -> str:
    return json.dumps(_finite(values), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
