"""Concurrent commands on one run: processes that follow `python -m ray_jobs.train`, without Ray.

Instead of training, they write checkpoints in order and keep the last two. Each process serves many rounds:
it reads a round from standard input and writes the result to standard output.
"""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from tests.support.places import ROOT
from tweetelm.config.train_config import OptimConfig, RunConfig, TrainConfig

if TYPE_CHECKING:
    from ray_jobs.run_dir import Finished

STEPS = 6
PAUSE_S = 0.02  # between two checkpoints
Action = Literal["train", "claim"]
OTHER = "exists with another configuration"
BUSY = "is in use by"
FINISHED = "is already finished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of a command; `trained` is whether it started to train."""

    status: int
    said: str
    trained: bool


def configuration(storage: str, name: str, lr: float) -> TrainConfig:
    """The configuration of a run with this name."""
    run = RunConfig(storage=storage, registry=f"{storage}-models", publish=False)
    return TrainConfig(task="hate", name=name, optim=OptimConfig(lr=lr), run=run)


class Commands:
    """Processes that wait for rounds."""

    def __init__(self, count: int, environment: Mapping[str, str]) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.support.run_commands"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **environment, "PYTHONPATH": path},
                cwd=ROOT,
                text=True,
            )
            for _ in range(count)
        ]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def run_together(self, action: Action, rounds: list[tuple[str, str, float]]) -> list[Answer]:
        """Run an action in every process at the same time, with its (storage, name, lr)."""
        self.send(action, rounds)
        return [self._answer(process) for process in self.processes]

    def send(self, action: Action, rounds: list[tuple[str, str, float]]) -> None:
        """Start an action in every process without waiting for the results."""
        begin = time.time() + 0.05
        for process, one in zip(self.processes, rounds, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps([action, *one, begin]) + "\n")
            process.stdin.flush()

    def _answer(self, process: "subprocess.Popen[str]") -> Answer:
        assert process.stdout is not None
        return Answer(**json.loads(process.stdout.readline()))

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()


@contextlib.contextmanager
def commands(count: int, environment: Mapping[str, str] | None = None) -> Iterator[Commands]:
    """Start `count` processes, and stop them on exit."""
    running = Commands(count, environment or {})
    try:
        yield running
    finally:
        running.close()


def pretend_to_train(config: TrainConfig) -> "Finished":
    """A fake `train_and_publish`.

    Raises:
        AssertionError: a checkpoint is lost.
    """
    from ray_jobs.run_dir import FINISHED_FILE, Finished, claim
    from tweetelm.files import object_storage
    from tweetelm.tasks.metric import ALWAYS

    claim(config)
    folder, content = config.folder, str(os.getpid()).encode()
    for step in range(STEPS):
        object_storage.write(f"{folder}/checkpoint_{step}/state.json", content)
        if step >= 2:
            object_storage.remove(f"{folder}/checkpoint_{step - 2}")
        time.sleep(PAUSE_S)
        assert object_storage.read(f"{folder}/checkpoint_{step}/state.json") == content, (
            f"checkpoint {step} is lost"
        )
    scores = {"test": dict.fromkeys(ALWAYS, 0.5)}
    finished = Finished(run=config.run_name, scores=scores, notices=[])
    object_storage.write(f"{folder}/{FINISHED_FILE}", json.dumps(dataclasses.asdict(finished)).encode())
    return finished


def serve_round(action: Action, config: TrainConfig) -> Answer:
    """Run an action like the command line."""
    from ray_jobs import train
    from ray_jobs.cli import refuse
    from ray_jobs.run_dir import claim

    trained = False

    def recorded(config: TrainConfig) -> "Finished":
        nonlocal trained
        trained = True
        return pretend_to_train(config)

    # replaces the module, whose import of Ray and torch takes seconds
    sys.modules["ray_jobs.training.job"] = SimpleNamespace(train_and_publish=recorded)  # type: ignore[assignment]
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            with refuse():
                status = train.train(config) if action == "train" else (claim(config) or 0)
        except SystemExit as end:
            status = int(str(end.code))
    return Answer(status=status, said=said.getvalue(), trained=trained)


def main() -> None:
    """Serve rounds until standard input ends."""
    import ray_jobs.training.summary  # noqa: F401  # imported early, so that the first round is as fast as the others
    import tweetelm.files.object_storage

    tweetelm.files.object_storage.find("/")
    print("ready", flush=True)
    for line in sys.stdin:
        action, place, name, lr, begin = json.loads(line)
        time.sleep(max(0.0, begin - time.time()))
        answer: dict[str, Any] = dataclasses.asdict(serve_round(action, configuration(place, name, lr)))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
