"""The trials of a search as plain data: what was tried, what came out, and which one is chosen."""

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
        run: name of its training run.
        sample: the settings it tried.
        score: its best on validation; None if it was never validated.
        epochs: of classification, how far it came.
        status: done, pruned or failed.
        why: of a pruned or failed one.
        seconds: of training, validation and checkpoints included, the start-up of its processes not.
        curve: (epoch, validation score) at each validation.
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
        """The end of its run's name, which tells it from the others of its search."""
        return self.run.rsplit("-", 1)[-1]

    @property
    def size(self) -> str:
        """The model it trained, where the search varies it."""
        return str(self.sample.get("model.name", ""))


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """A finished search. `speeds`: tweets a second by size, measured on one machine in one go."""

    trials: tuple[Trial, ...]
    winner: str
    speeds: dict[str, float]

    @property
    def best(self) -> Trial:
        """The chosen trial."""
        return next(trial for trial in self.trials if trial.run == self.winner)

    def save(self, path: str) -> None:
        """Write it as JSON."""
        object_storage.write(path, (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode())


def load_result(path: str) -> SearchResult | None:
    """The result of a search that was carried to its end before."""
    found = object_storage.read(path)
    if found is None:
        return None
    remedy = "delete it and type the command again: the search is ended anew from its trials"
    document = parse_object(found, path, remedy, {"trials": list, "winner": str, "speeds": dict})
    try:
        trials = tuple(_trial(values) for values in document["trials"])
        if document["winner"] not in [trial.run for trial in trials]:
            raise ValueError("none of its trials is the winner")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({type(error).__name__}: {error}); {remedy}") from error
    return SearchResult(trials=trials, winner=document["winner"], speeds=document["speeds"])


def _trial(values: dict[str, Any]) -> Trial:
    check_fields(values, {"run": str, "sample": dict, "epochs": float, "curve": list})
    return Trial(**{**values, "curve": tuple((float(e), float(s)) for e, s in values["curve"])})


def choose(trials: Sequence[Trial], speeds: Mapping[str, float], prefer: Prefer, tolerance: float) -> Trial:
    """The trial to publish, by validation.

    Args:
        trials: all of them.
        speeds: tweets a second by size; a size without one counts as slowest.
        prefer: "quality": the best score, among equals the cheapest. "cost": the cheapest whose score is at
            most `tolerance` below the best, among equals the best.
        tolerance: in units of the metric.

    Raises:
        ValueError: no trial came to a validation score.
    """
    scored = [(trial, trial.score) for trial in trials if trial.score is not None]
    if not scored:
        failures = next((f"; the first says: {t.why}" for t in trials if t.why), "")
        raise ValueError(f"none of the {len(trials)} trials was validated{failures}")
    best = max(score for _, score in scored)
    enough = best - (tolerance if prefer == "cost" else 0.0)
    good = [(trial, score) for trial, score in scored if score >= enough]
    return max(good, key=lambda pair: (speeds.get(pair[0].size, 0.0), pair[1], -pair[0].epochs))[0]


def table(trials: Sequence[Trial], metric: str, winner: str) -> str:
    """The trials, best first, for a terminal."""
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
    """By score; those without one last."""
    return sorted(trials, key=lambda trial: -(trial.score or 0.0))


def show(value: Any) -> str:
    """A sampled value in two digits."""
    return f"{value:.2g}" if isinstance(value, float) else printable(value)
