"""Writes the metrics of a run to its history.jsonl and to Weights & Biases.

Only rank 0 opens trackers. Steps are optimizer steps; a resumed run continues at the step of its checkpoint.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any, Protocol

from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.files import atomic
from tweetelm.tracking.wandb_settings import Mode, has_api_key, run_id, wandb_id, wandb_mode

__all__ = ["HISTORY", "History", "Tracker", "Trackers", "WandB", "has_api_key", "open_trackers", "open_wandb"]
__all__ += ["read_history", "wandb_id", "wandb_mode"]

HISTORY = "history.jsonl"
log = logging.getLogger(__name__)


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


class WandB:
    """Logs to Weights & Biases, https://docs.wandb.ai. A resumed run continues under the same run id.

    The server drops repeated steps of a resumed run. If wandb is missing or fails, one warning is logged and
    training continues without it. In offline mode, nothing is sent.
    """

    def __init__(
        self,
        *,
        mode: Mode,
        project: str,
        group: str | None,
        id: str,
        name: str,
        folder: Path,
        config: dict[str, Any],
    ) -> None:
        self._run: Any = None
        given = {"project": project, "group": group, "id": id, "name": name, "config": config}
        if mode == "offline":
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # wandb's service process reads it at its start
        try:
            import wandb
        except ImportError:
            log.warning(
                "wandb is not installed; metrics are written to %s only; run `pip install wandb`", HISTORY
            )
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._run = self._attempt("start", lambda: _init(wandb, mode, folder, **given))

    def log(self, metrics: dict[str, float], step: int) -> None:
        if self._run is not None:
            self._attempt("log", lambda: self._run.log(dict(metrics), step=step))

    def finish(self, summary: dict[str, Any]) -> None:
        if self._run is not None:
            self._attempt("finish", lambda: (self._run.summary.update(summary), self._run.finish()))
        self._run = None

    def leave(self) -> None:
        """Close and mark the run as `preempted` in Weights & Biases until it is resumed.

        If the process is killed, data that wandb has not yet written are lost: in offline mode, all data of a
        short run.
        """
        if self._run is not None:
            self._attempt("leave", lambda: (self._run.mark_preempting(), self._run.finish(exit_code=1)))
        self._run = None

    def publish(self, folder: Path, version: str, task: str, card: dict[str, Any], served: bool) -> None:
        """Log the files of a published version as a model artifact, and the hash of its data as a reference.

        The data files are not sent.
        """

        def log_artifacts() -> None:
            import wandb

            data = wandb.Artifact(f"{task}-data", type="dataset", metadata=card["data"])
            data.add_reference(f"dvc://{task}/{card['data']['md5']}", name="md5", checksum=False)
            self._run.log_artifact(data)  # use_artifact would refuse an offline run
            model = wandb.Artifact(
                f"{task}-classifier", type="model", metadata={"version": version, **card["metrics"]}
            )
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                name = path.relative_to(folder).as_posix()
                model.add_file(str(path), name=name, policy="immutable", skip_cache=True)
            self._run.log_artifact(model, aliases=[version, *(["served"] if served else [])])

        if self._run is not None:
            self._attempt("log the artifact", log_artifacts)

    def _attempt(self, verb: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # a failure of wandb must not end training
            reason = shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
            log.warning(
                "wandb failed to %s (%s); training continues, %s has all metrics", verb, reason, HISTORY
            )
            self._run = None
            return None


def _init(wandb: Any, mode: Mode, folder: Path, **given: Any) -> Any:
    """Start or resume a run. `setup` needs mode and silent too: its service process would otherwise send
    telemetry and print."""
    wandb.setup(settings=wandb.Settings(silent=True, mode=mode))
    return wandb.init(
        mode=mode,
        resume="allow",
        dir=str(folder.absolute()),
        settings=wandb.Settings(console="off", silent=True),
        **given,
    )


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


def open_wandb(
    config: TrainConfig,
    run_dir: Path,
    *,
    api_key_present: bool,
    environ: Mapping[str, str] | None = None,
    place: str | None = None,
) -> WandB | None:
    """Start or resume the run in Weights & Biases; None if W&B is off. Arguments as in `open_trackers`."""
    mode = wandb_mode(config.tracking, api_key_present, environ)
    if mode is None:
        return None
    return WandB(
        mode=mode,
        project=config.tracking.project,
        group=config.tracking.group,
        id=run_id(config.run_name, place or str(run_dir), run_dir),
        name=config.run_name,
        folder=run_dir,
        config=to_dict(config),
    )


def _line(values: dict[str, Any]) -> str:
    return json.dumps(_finite(values), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
