"""Progress of a search: a live table on a terminal, a line per event in a log."""

import sys
from typing import Any

from ray import tune
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ray_jobs.search.trial_results import show
from tweetelm.training.phases import PRETRAIN


class Watch(tune.Callback):
    """Tune callback that shows progress. It reads only Tune's trials, so a restored search shows all of
    them."""

    def __init__(self, *, count: int, metric: str, epochs: int) -> None:
        self.count, self.metric, self.epochs = count, metric, epochs
        self._live: Live | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_live": None,
        }  # Tune pickles its callbacks; a live display cannot be pickled

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show(trials, trial, "starting: " + ", ".join(f"{k} {show(v)}" for k, v in trial.config.items()))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        score = result.get(f"validation_{self.metric}")
        text = f"epoch {result.get('epoch', 0):.2f} of {self._wanted(trial)}"
        if result.get("phase") == PRETRAIN:
            text = f"language modeling, step {result.get('step')}  loss {result.get('loss', 0.0):.4f}"
        elif score is None:
            text += f"  step {result.get('step')}  loss {result.get('loss', float('nan')):.4f}"
        else:
            text += f"  validation {self.metric} {score:.4f}"
        self._show(trials, trial, text)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show(trials, trial, self._end(trial))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show(trials, trial, "failed")

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, trials: list[Any], trial: Any, text: str) -> None:
        if not sys.stdout.isatty():
            number = 1 + sum(_order(other) < _order(trial) for other in trials)
            print(f"trial {number}/{self.count}  {trial.trial_id}  {text}", flush=True)
            return
        if self._live is None:
            self._live = Live(console=Console(), auto_refresh=False)
            self._live.start()
        self._live.update(self._table(trials), refresh=True)

    def _table(self, trials: list[Any]) -> Table:
        keys = list(trials[0].config)
        table = Table(title=f"{len(trials)} of {self.count} trials", title_justify="left")
        for column in ("trial", *keys, "epoch", f"validation {self.metric}", "status"):
            table.add_column(column)
        for trial in sorted(trials, key=_order):
            last = trial.last_result or {}
            score = last.get(f"validation_{self.metric}")
            epoch = f"{last.get('epoch', 0.0):.1f}/{self._wanted(trial)}"
            cells = [show(trial.config[key]) for key in keys]
            table.add_row(
                trial.trial_id,
                *cells,
                epoch,
                "-" if score is None else f"{score:.4f}",
                self._status(trial, last),
            )
        return table

    def _status(self, trial: Any, last: dict[str, Any]) -> str:
        if trial.status == "TERMINATED":
            return self._end(trial)
        return "starting" if trial.status == "RUNNING" and not last else str(trial.status).lower()

    def _end(self, trial: Any) -> str:
        return "pruned" if (trial.last_result or {}).get("epoch", 0.0) < self._wanted(trial) else "done"

    def _wanted(self, trial: Any) -> int:
        return int(trial.config.get("loop.epochs", self.epochs))


def _order(trial: Any) -> int:
    """Return the order in which a trial was proposed; a restored search lists trials in another order."""
    return int(trial.experiment_tag.partition("_")[0])
