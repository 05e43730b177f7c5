"""The actors that generate with a model on this machine or on the cluster."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils.logging import disable_progress_bar

from ray_jobs.cluster.actor_pool import Pool
from tweetelm.cli.command import message
from tweetelm.generation.generator import Generator, find_generator
from tweetelm.generation.journal import JournalWriter
from tweetelm.generation.request import Request
from tweetelm.precision import Precision


class AskLocalModel:
    """An actor: answers the requests of a batch and records the answers after each batch of tokens.

    Args:
        model: name of the generator, see `find_generator`.
        sha256: expected hash of its weights.
        pool: CPUs and GPUs of each actor.
        journal: folder of the answers.
        precision, new_tokens, batch_tokens: see `Generator`.
    """

    def __init__(
        self,
        model: str,
        revision: str | None,
        sha256: str,
        pool: Pool,
        journal: Path,
        precision: Precision,
        new_tokens: int,
        batch_tokens: int,
    ) -> None:
        self.error, self.journal = "", journal
        disable_progress_bar()
        torch.set_num_threads(pool.cpus)
        device = torch.device("cuda" if pool.gpus else "cpu")
        try:
            found = find_generator(model, revision)
            if found.sha256 != sha256:
                raise ValueError(
                    f"{model} on this node has the weights {found.sha256}; expected {sha256}; copy the model "
                    "to all nodes again"
                )
            self.generator = Generator.load(
                found.folder,
                device=device,
                precision=precision,
                new_tokens=new_tokens,
                batch_tokens=batch_tokens,
            )
        except (ValueError, OSError) as error:
            self.error = message(error)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outcomes = [self._outcome(item) for item in batch["item"]]
        return {"outcome": np.array([json.dumps(outcome) for outcome in outcomes])}

    def _outcome(self, requests: Sequence[Request]) -> dict[str, Any]:
        if self.error:
            return {"error": self.error}
        try:
            with JournalWriter(self.journal) as writer:
                for batch in self.generator.batches(requests):
                    writer.answered(self.generator.answer(batch))
        except OSError as error:
            return {"error": message(error)}
        return {"answers": len(requests)}
