"""Loads models from the registry, checks their probabilities, and warms them up."""

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from tweetelm import registry
from tweetelm.encoding import Encoded, pass_tokens
from tweetelm.openelm.packing import few_sizes
from tweetelm.precision import InferencePrecision, pick_device
from tweetelm.predictor import Predictor

PROBES = (
    "a",
    "a short tweet with a link http and a mention @user",
    "they should all go back to where they came from",
    "what a lovely morning, coffee is ready 🙂",
    "the moon is a kind of window and the window is a kind of song",
    "a longer tweet, word after word, " * 8,
)
MAX_BF16_DIFFERENCE = 0.02  # maximum difference in probability to float32: larger than rounding errors
logger = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Loaded:
    """A model and the version folder that it was loaded from."""

    path: Path
    predictor: Predictor


def batch_tokens(device: str, wanted: int | None) -> int:
    """Return the tokens of one batch: as many as wanted, else the best number for the device."""
    return pass_tokens(pick_device(device), wanted)


def load(
    tasks: Iterable[str],
    *,
    url: str,
    versions: Mapping[str, str],
    device: str,
    precision: InferencePrecision,
    threads: int | None = None,
    loaded: Mapping[str, Loaded],
) -> dict[str, Loaded]:
    """Load one model per task: the requested version, else the current one.

    Args:
        tasks: The tasks to serve, in order.
        url: Folder or URL of the registry.
        versions: Versions by task, instead of the current ones.
        device: As for `Predictor.load`.
        precision: As for `Predictor.load`.
        threads: CPU threads of torch; None or 0: torch's own choice.
        loaded: Models loaded earlier; those from the same folder are reused.

    Raises:
        FileNotFoundError: a task has no such version.
        ValueError: `versions` names a task that is not served, or a model's probabilities do not sum to 1.
    """
    tasks = list(tasks)
    if unknown := versions.keys() - set(tasks):
        raise ValueError(f"versions names {', '.join(sorted(unknown))}; expected only {', '.join(tasks)}")
    threads = threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    found: dict[str, Loaded] = {}
    try:
        for task in tasks:
            path = registry.resolve(task, registry=url, version=versions.get(task))
            kept = loaded.get(task)
            found[task] = kept if kept and kept.path == path else _load(task, path, device, precision)
    finally:  # passes at load follow the load of the machine; new threads would start with their last number
        torch.set_num_threads(threads)
    return found


def published(tasks: Iterable[str], *, url: str) -> dict[str, str | None]:
    """Return the current version of each task; None if it has none."""
    return {task: registry.current_version(task, registry=url) for task in tasks}


def last_good(tasks: Iterable[str], *, url: str) -> list[dict[str, str]]:
    """Return the fallbacks if the requested versions cannot be loaded: the current ones, then the
    previous."""
    before = {task: registry.previous_version(task, registry=url) for task in tasks}
    return [{}, {task: version for task, version in before.items() if version}]


def _load(task: str, path: Path, device: str, precision: InferencePrecision) -> Loaded:
    predictor = Predictor.load(path, device=device, precision=precision)
    if predictor.task.name != task:
        raise ValueError(f"{path} holds a {predictor.task.name} model; expected a {task} model")
    found = _probe(path, predictor)
    if predictor.precision == "bf16" and precision == "auto":
        predictor = _float32_if_inexact(path, device, predictor, found)
    _warm_up(predictor)
    return Loaded(path, predictor)


def _float32_if_inexact(path: Path, device: str, predictor: Predictor, found: list[float]) -> Predictor:
    """Return the bfloat16 `predictor` if its probabilities agree with float32, else a float32 predictor."""
    exact = Predictor.load(path, device=device, precision="float32")
    difference = max(abs(a - b) for a, b in zip(found, _probe(path, exact), strict=True))
    if difference <= MAX_BF16_DIFFERENCE:
        return predictor
    logger.warning(
        "%s: bfloat16 probabilities differ from float32 by %.3f; serving float32", path, difference
    )
    return exact


def _probe(path: Path, predictor: Predictor) -> list[float]:
    """Return the probabilities of all labels for the texts of `PROBES`, one after the other.

    Raises:
        ValueError: the probabilities of a text do not sum to 1.
    """
    found = predictor.predict(PROBES)
    for prediction in found:
        total = sum(prediction.probabilities)
        if not math.isclose(total, 1.0, abs_tol=1e-3):  # false for NaN too
            raise ValueError(f"{path} gives probabilities that sum to {total}; expected 1")
    return [probability for prediction in found for probability in prediction.probabilities]


def _warm_up(predictor: Predictor) -> None:
    """Run one text of every row size. On a CPU, a large model's first pass of each size takes two to four
    times as long as later ones, because kernels are compiled then."""
    longest = predictor.max_tokens
    for tokens in sorted({min(few_sizes(number), longest) for number in range(1, longest + 1)}):
        predictor.classify([Encoded((0,) * tokens, truncated=False)])
