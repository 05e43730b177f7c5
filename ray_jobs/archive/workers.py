"""The actors of Ray Data that classify fragments."""

import gc
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils.logging import disable_progress_bar

from ray_jobs.archive.shared_cache import SharedCache
from ray_jobs.cluster.actor_pool import Pool
from tweetelm.archive.classify_fragment import FragmentClassifier
from tweetelm.archive.dedup import DedupClassifier
from tweetelm.archive.result_set import NamedFragment, ResultSet
from tweetelm.cli.command import message
from tweetelm.precision import InferencePrecision, use_fast_float32
from tweetelm.predictor import Predictor
from tweetelm.registry import resolve


@dataclass(frozen=True, kw_only=True)
class Model:
    """The version that an actor loads, and its precision."""

    registry: str
    task: str
    version: str
    precision: InferencePrecision


class ClassifyFragments:
    """An actor: classifies the fragments of a batch, and returns their counts as JSON.

    Expected errors are returned, so that the command can print their message; Ray Data would print a trace.
    """

    def __init__(self, model: Model, results: ResultSet, pool: Pool, cache: SharedCache | None) -> None:
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
        classifier = DedupClassifier(predictor, cache)
        self.classify = FragmentClassifier(classifier, results, precision=predictor.precision, gpus=pool.gpus)

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
