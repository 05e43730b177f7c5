"""Where a run's metrics go: its own history.jsonl, and Weights & Biases.

Opened by one process of a run, rank 0. Steps are the optimizer's; a resumed run goes on from its checkpoint's
step.
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
    """Takes the metrics of a run."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Metrics at an optimizer step; steps never fall within one process."""

    def finish(self, summary: dict[str, Any]) -> None:
        """The run's results; nothing is logged afterwards."""

    def leave(self) -> None:
        """The run ends here without results, and may go on another time; nothing is logged afterwards."""


class Trackers:
    """Several trackers as one."""

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
    """A line of JSON per call, on disk when the call returns. Numbers that JSON lacks (NaN, infinity) become
    null.

    Opening drops what lies after `resume_step`, a half-written line and an earlier summary, so that a run
    killed and resumed leaves the file of one that never was.
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
    """The lines of a history; those that a crash left unreadable are passed over."""
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
    """Weights & Biases, https://docs.wandb.ai. A resumed run continues the one of its id there.

    Steps that a resumed run repeats are dropped by the server: it has them. If wandb is missing or fails,
    that is logged once as a warning and training goes on without it. Offline, nothing is sent to anybody.
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
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # of wandb's own process, read when it starts
        try:
            import wandb
        except ImportError:
            log.warning(
                "wandb is not installed: metrics go to %s only; `pip install wandb` to have both", HISTORY
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
        """The run is then `preempted` in Weights & Biases, until it goes on. A process that is killed loses
        what wandb has not yet written: in offline mode, all of a short run."""
        if self._run is not None:
            self._attempt("leave", lambda: (self._run.mark_preempting(), self._run.finish(exit_code=1)))
        self._run = None

    def publish(self, folder: Path, version: str, task: str, card: dict[str, Any], served: bool) -> None:
        """Log a published version's files as a model artifact, and its data as a reference by hash: none of
        the data's files."""

        def both() -> None:
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
            self._attempt("log the artifact", both)

    def _attempt(self, verb: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # hours of training must not end with it
            reason = shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")
            log.warning("wandb failed to %s (%s); training goes on, %s has everything", verb, reason, HISTORY)
            self._run = None
            return None


def _init(wandb: Any, mode: Mode, folder: Path, **given: Any) -> Any:
    """Begin or continue a run. The settings of `setup` count too: without the mode there, wandb's own process
    sends its telemetry, and without silence it prints."""
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
    """The trackers of a run.

    Args:
        config: names the run and says where to track.
        run_dir: a local folder for history.jsonl and wandb's files.
        resume_step: of the checkpoint that training goes on from, 0 for a fresh run.
        api_key_present: from `has_api_key`.
        environ: with W&B's own variables, which win over `config`.
        place: the run's folder or URL, by default `run_dir`.
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
    """The run's place in Weights & Biases, continued if it has one; None if that is off."""
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
