"""Logs a run, its tables, figures and published version to Weights & Biases."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from tweetelm.config.train_config import TrackingConfig, TrainConfig, to_dict
from tweetelm.tracking import HISTORY
from tweetelm.tracking.wandb_settings import Mode, run_id, wandb_mode

log = logging.getLogger(__name__)


class WandB:
    """Logs to Weights & Biases, https://docs.wandb.ai. A resumed run continues under the same run id.

    The server drops repeated steps of a resumed run. If wandb is missing or fails, one warning is logged and
    training continues without it. In offline mode, nothing is sent.
    """

    def __init__(
        self,
        *,
        mode: Mode,
        tracking: TrackingConfig,
        id: str,
        name: str,
        folder: Path,
        config: dict[str, Any],
    ) -> None:
        self._run: Any = None
        place = {"entity": tracking.entity, "project": tracking.project, "group": tracking.group}
        given = {**place, "tags": list(tracking.tags), "id": id, "name": name, "config": config}
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

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a table, which W&B's panels sort, filter and plot."""

        def log_table() -> None:
            import wandb

            self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

        if self._run is not None:
            self._attempt(f"log the table {name}", log_table)

    def figure(self, name: str, svg: str) -> None:
        """Log an SVG figure."""

        def log_figure() -> None:
            import wandb

            self._run.log({name: wandb.Html(svg, inject=False)})

        if self._run is not None:
            self._attempt(f"log the figure {name}", log_figure)

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


def open_wandb(
    config: TrainConfig,
    run_dir: Path,
    *,
    api_key_present: bool,
    environ: Mapping[str, str] | None = None,
    place: str | None = None,
) -> WandB | None:
    """Start or resume the run in Weights & Biases; None if W&B is off. Arguments as in
    `trackers.open_trackers`."""
    mode = wandb_mode(config.tracking, api_key_present, environ)
    if mode is None:
        return None
    return WandB(
        mode=mode,
        tracking=config.tracking,
        id=run_id(config.run_name, place or str(run_dir), run_dir),
        name=config.run_name,
        folder=run_dir,
        config=to_dict(config),
    )
