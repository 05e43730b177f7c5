"""The actors of Ray Data that classify fragments, and how many of them run."""

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils.logging import disable_progress_bar

from ray_jobs.archive.shared_cache import SharedCache
from ray_jobs.cluster.connect import Resources
from tweetelm.archive.classify_fragment import FragmentClassifier
from tweetelm.archive.dedup import DedupClassifier
from tweetelm.archive.result_set import NamedFragment, ResultSet
from tweetelm.cli.command import message
from tweetelm.precision import Precision, use_fast_float32
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve

Gpu = Literal["auto", "yes", "no"]
LARGE_FILE = 200_000_000  # bytes of weights; one thread per smaller model is fastest
CPUS_OF_LARGE = 4


@dataclass(frozen=True, kw_only=True)
class Pool:
    """The actors: their maximum number, and the CPUs and GPUs of each."""

    size: int
    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """The version that an actor loads, and its precision."""

    registry: str
    task: str
    version: str
    precision: Precision


def pool(
    resources: Resources, weights: int, fragments: int, *, gpu: Gpu, cpus: int | None, workers: int | None
) -> Pool:
    """The actors for a model with this many bytes of weights: one per GPU, or one per so many CPUs.

    Raises:
        ValueError: not even one actor fits on this machine.
    """
    on_gpu = gpu == "yes" or (gpu == "auto" and resources.gpus > 0)
    large = min(CPUS_OF_LARGE, resources.cpus)
    each = cpus or (1 if on_gpu or weights < LARGE_FILE else large)
    fit = min(resources.gpus, resources.cpus // each) if on_gpu else resources.cpus // each
    if resources.local and fit < 1:
        need = f"{each} CPUs" + (" and a GPU" if on_gpu else "")
        raise ValueError(
            f"a worker needs {need}, but this machine has {resources.cpus} CPUs and {resources.gpus} GPUs; "
            "use --cpus 1 or --gpu no"
        )
    return Pool(size=max(1, min(workers or fit, fragments)), cpus=each, gpus=int(on_gpu))


class ClassifyFragments:
    """An actor: classifies the fragments of a batch, and returns their counts as JSON.

    Expected errors are returned, so that the command can print their message; Ray Data would print a trace.
    """

    def __init__(self, model: Model, results: ResultSet, pool: Pool, cache: SharedCache) -> None:
        self.error = ""
        disable_progress_bar()
        torch.set_num_threads(pool.cpus)
        try:
            folder = self._resolve(model)
            predictor = Predictor.load(
                folder, device="cuda" if pool.gpus else "cpu", precision=model.precision
            )
        except (ValueError, OSError) as error:
            self.error = message(error)
            return
        use_fast_float32(predictor.model)
        gc.freeze()  # otherwise full collections visit the libraries' objects again and again
        self.classify = FragmentClassifier(DedupClassifier(predictor, cache), results, gpus=pool.gpus)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outcomes = [self._outcome(named) for named in batch["item"]]
        return {"outcome": np.array([json.dumps(outcome) for outcome in outcomes])}

    def _outcome(self, named: NamedFragment) -> dict[str, Any]:
        if self.error:
            return {"error": self.error}
        try:
            return {"counts": self.classify(named).to_json()}
        except (ValueError, OSError) as error:
            return {"error": message(error)}

    def _resolve(self, model: Model) -> Path:
        return resolve(model.task, registry=model.registry, version=model.version)
