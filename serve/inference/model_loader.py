"""From the registry to models that have shown that they work."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tweetelm import registry
from tweetelm.encoding import Encoded
from tweetelm.openelm.packing import few_sizes
from tweetelm.precision import Precision
from tweetelm.predictor import Predictor
from tweetelm.tasks import TASKS

PROBES = (
    "a",
    "a short tweet with a link http and a mention @user",
    "they should all go back to where they came from",
    "what a lovely morning, coffee is ready 🙂",
    "the moon is a kind of window and the window is a kind of song",
    "a longer tweet, word after word, " * 8,
)
FARTHEST_BF16 = 0.02  # from float32, in probability: room for rounding, not for another verdict
logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Loaded:
    """A model and the folder it came from."""

    path: Path
    predictor: Predictor


def load(
    tasks: Iterable[str],
    *,
    url: str,
    versions: Mapping[str, str],
    device: str,
    precision: Precision,
    loaded: Mapping[str, Loaded],
) -> dict[str, Loaded]:
    """One model per task: the version asked for, else the published one.

    Args:
        tasks: The tasks to serve, in order.
        url: Folder or URL of the registry.
        versions: By task, in place of the published one.
        device: As for `Predictor.load`.
        precision: As for `Predictor.load`.
        loaded: What is loaded already, and is kept where it comes from the same folder.

    Raises:
        FileNotFoundError: a task has no such version.
        ValueError: `versions` names a task that is not served, or a model gives no probabilities.
    """
    tasks = list(tasks)
    if unknown := versions.keys() - set(tasks):
        raise ValueError(f"versions names {', '.join(sorted(unknown))}; served are {', '.join(tasks)}")
    found: dict[str, Loaded] = {}
    for task in tasks:
        path = registry.resolve(task, registry=url, version=versions.get(task))
        kept = loaded.get(task)
        found[task] = kept if kept and kept.path == path else _load(task, path, device, precision)
    return found


def published(tasks: Iterable[str], *, url: str) -> dict[str, str | None]:
    """The current version of each task."""
    return {task: registry.current_version(task, registry=url) for task in tasks}


def last_good(tasks: Iterable[str], *, url: str) -> list[dict[str, str]]:
    """Versions by task that may stand in for what cannot be loaded: the current ones, then those before."""
    before = {task: registry.previous_version(task, registry=url) for task in tasks}
    return [{}, {task: version for task, version in before.items() if version}]


def _load(task: str, path: Path, device: str, precision: Precision) -> Loaded:
    predictor = Predictor.load(path, device=device, precision=precision)
    if (predictor.task.name, predictor.labels) != (task, TASKS[task].labels):
        raise ValueError(
            f"{path} holds a {predictor.task.name} model with labels {predictor.labels}; "
            f"expected {task} with {TASKS[task].labels}"
        )
    found = _probe(path, predictor)
    if predictor.precision == "bf16" and precision == "auto":
        predictor = _as_exact_as_needed(path, device, predictor, found)
    _warm_up(predictor)
    return Loaded(path, predictor)


def _as_exact_as_needed(path: Path, device: str, predictor: Predictor, found: list[float]) -> Predictor:
    """`predictor`, which computes in bfloat16, if it agrees with float32; else one in float32."""
    exact = Predictor.load(path, device=device, precision="float32")
    distance = max(abs(a - b) for a, b in zip(found, _probe(path, exact), strict=True))
    if distance <= FARTHEST_BF16:
        return predictor
    logger.warning("%s: bfloat16 is %.3f away from float32, which is served", path, distance)
    return exact


def _probe(path: Path, predictor: Predictor) -> list[float]:
    """Probabilities of the positive label for some fixed texts.

    Raises:
        ValueError: they are none.
    """
    found = predictor.predict(PROBES)
    for prediction in found:
        total = sum(prediction.probabilities)
        if not math.isclose(total, 1.0, abs_tol=1e-3):  # false for NaN too
            raise ValueError(f"{path} gives probabilities that sum to {total}; expected 1")
    return [prediction.probabilities[-1] for prediction in found]


def _warm_up(predictor: Predictor) -> None:
    """Runs a lone text of every length that makes another size of row: on a CPU a large model's first pass of
    each takes two to four times as long as the next one, for its kernels are made then."""
    longest = predictor.max_tokens
    for tokens in sorted({min(few_sizes(number), longest) for number in range(1, longest + 1)}):
        predictor.classify([Encoded((0,) * tokens, truncated=False)])
