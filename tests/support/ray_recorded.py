"""A training run in a thread, observed by a test."""

import dataclasses
import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from safetensors.torch import load_file

from ray_jobs.cluster.connect import Resources
from ray_jobs.training.launcher import train
from tests.support.ray_head import Cluster, train_workers
from tweetelm.config.train_config import TrainConfig
from tweetelm.tracking.trackers import HISTORY, read_history
from tweetelm.training.prepare import prepare


class Recorder(ray.train.UserCallback):
    """Records the step and the number of workers of each report."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps([metrics[0]["step"], len(metrics)]) + "\n")


@dataclasses.dataclass
class Running:
    """A run in a thread of this process."""

    config: TrainConfig
    resources: Resources
    logs: Path
    _error: list[BaseException] = dataclasses.field(default_factory=list)

    def start(self) -> "Running":
        self._thread = threading.Thread(target=self._train)
        self._thread.start()
        return self

    def _train(self) -> None:
        try:
            train(
                self.config, self.resources, ray.put(prepare(self.config)), callbacks=[Recorder(self.record)]
            )
        except BaseException as error:
            self._error.append(error)
            raise

    @property
    def record(self) -> Path:
        return Path(f"{self.config.folder}.jsonl")

    def trains(self) -> bool:
        """Return whether the run has completed a step."""
        assert not self._error, self._error
        history = Path(self.config.folder) / HISTORY
        return history.exists() and bool(read_history(history))

    def reports(self) -> list[tuple[int, int]]:
        """Return (step, number of workers) of each report."""
        assert not self._error, self._error
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [tuple(json.loads(line)) for line in lines]

    def end(self) -> dict[str, torch.Tensor]:
        """Return the weights and optimizer state after the last step."""
        self._thread.join(300)
        assert not self._thread.is_alive()
        assert not self._error
        checkpoint = ray.train.Result.from_path(self.config.folder).checkpoint
        assert checkpoint is not None
        folder = Path(checkpoint.path)
        return {**load_file(folder / "model.safetensors"), **load_file(folder / "optimizer.safetensors")}

    def said(self, pattern: str) -> list[int]:
        """The steps in all matches of `pattern` in the output of the workers."""
        text = "".join(path.read_text() for path in sorted(self.logs.rglob("worker-*.out")))
        return [int(step) for step in re.findall(pattern, text)]


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Pause the training workers while the block runs, so that the run cannot finish in it."""
    found = train_workers(cluster)
    for process in found:
        process.send_signal(signal.SIGSTOP)
    yield
    for process in found:
        if process.is_running():
            process.send_signal(signal.SIGCONT)
