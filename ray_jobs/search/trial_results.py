"""The trials of a search as plain data: samples, scores and the choice of the winner."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tweetelm.files import object_storage
from tweetelm.files.json_file import check_fields, parse_object
from tweetelm.files.names import printable

Prefer = Literal["quality", "cost"]
Propose = Literal["random", "grid", "optuna"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial.

    Attributes:
        run: Name of its training run.
        sample: Sampled settings.
        score: Best validation score; None if it was never validated.
        epochs: Completed classification epochs.
        status: done, pruned or failed.
        why: Reason of pruning or failure.
        seconds: Training time including validation and checkpoints, without process start-up.
        curve: (epoch, validation score) of each validation.
    """

    run: str
    sample: dict[str, Any]
    score: float | None
    epochs: float
    status: Literal["done", "pruned", "failed"]
    why: str = ""
    seconds: float = 0.0
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def number(self) -> str:
        """Suffix of the run's name, unique within the search."""
        return self.run.rsplit("-", 1)[-1]

    @property
    def size(self) -> str:
        """Model and number of layers, as far as the search varies them; else ""."""
        name, layers = self.sample.get("model.name", ""), self.sample.get("model.layers")
        depth = "" if layers is None else f"{layers} layers"
        return ", ".join(part for part in (str(name), depth) if part)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """A finished search. `speeds`: tweets/s by model size, all measured on one machine."""

    trials: tuple[Trial, ...]
    winner: str
    speeds: dict[str, float]

    @property
    def best(self) -> Trial:
        """The winner."""
        return next(trial for trial in self.trials if trial.run == self.winner)

    def save(self, path: str) -> None:
        """Write the result as JSON to a path or URL."""
        object_storage.write(path, (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode())


def load_result(path: str) -> SearchResult | None:
    """Return the result of a finished search; None if it is not finished.

    Raises:
        ValueError: the file is damaged.
    """
    found = object_storage.read(path)
    if found is None:
        return None
    remedy = "delete it and run the command again to choose the winner again"
    document = parse_object(found, path, remedy, {"trials": list, "winner": str, "speeds": dict})
    try:
        trials = tuple(_trial(values) for values in document["trials"])
        if document["winner"] not in [trial.run for trial in trials]:
            raise ValueError("its winner is not among its trials")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); {remedy}") from error
    return SearchResult(trials=trials, winner=document["winner"], speeds=document["speeds"])


def _trial(values: dict[str, Any]) -> Trial:
    check_fields(values, {"run": str, "sample": dict, "epochs": float, "curve": list})
    return Trial(**{**values, "curve": tuple((float(e), float(s)) for e, s in values["curve"])})


def choose(trials: Sequence[Trial], speeds: Mapping[str, float], prefer: Prefer, tolerance: float) -> Trial:
    """Choose the trial to publish by its validation score.

    Args:
        trials: All trials.
        speeds: Tweets/s by model size; a size without one counts as the slowest.
        prefer: "quality": the best score, ties broken by speed. "cost": the fastest size whose score is at
            most `tolerance` below the best, ties broken by score.
        tolerance: Allowed loss in units of the metric, used with "cost".

    Raises:
        ValueError: no trial has a validation score.
    """
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    if not scored:
        failures = next((f"; first failure: {t.why}" for t in trials if t.why), "")
        raise ValueError(f"none of the {len(trials)} trials has a validation score{failures}")
    best = max(score for _, score in scored)
    enough = best - (tolerance if prefer == "cost" else 0.0)
    good = [(trial, score) for trial, score in scored if score >= enough]
    return max(good, key=lambda pair: (speeds.get(pair[0].size, 0.0), pair[1], -pair[0].epochs))[0]


def table(trials: Sequence[Trial], metric: str, winner: str) -> str:
    """Return a table of the trials for a terminal, best first."""
    keys = list(trials[0].sample)
    head = ["", "trial", *keys, "epochs", f"validation {metric}", "status"]
    lines = [head]
    for trial in best_first(trials):
        values = [show(value) for value in trial.sample.values()]
        score = "-" if trial.score is None else f"{trial.score:.4f}"
        mark = "*" if trial.run == winner else ""
        lines.append([mark, trial.number, *values, f"{trial.epochs:.1f}", score, trial.status])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Sort trials by score; those without a score are last."""
    return sorted(trials, key=lambda trial: -(trial.score or 0.0))


def show(value: Any) -> str:
    """Format a sampled value; floats get two significant digits."""
    return f"{value:.2g}" if isinstance(value, float) else printable(value)
