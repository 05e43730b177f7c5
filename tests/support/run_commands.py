"""Commands that meet on one run: processes that go the way of `python -m ray_jobs.train`, but for Ray.

What Ray Train would do is stood in for by writing checkpoints, one after the other, and keeping the last two.
Each process serves many rounds: it reads a round from standard input and answers on standard output.
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
Deed = Literal["train", "claim"]
OTHER = "exists with another configuration"
BUSY = "is in use by"
FINISHED = "is already finished"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What one command came to; `trained`: it got as far as training."""

    status: int
    said: str
    trained: bool


def configuration(storage: str, name: str, lr: float) -> TrainConfig:
    """Of a run of that name."""
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

    def together(self, deed: Deed, rounds: list[tuple[str, str, float]]) -> list[Answer]:
        """Have each process do a deed for its (storage, name, lr), all at the same moment."""
        self.send(deed, rounds)
        return [self._answer(process) for process in self.processes]

    def send(self, deed: Deed, rounds: list[tuple[str, str, float]]) -> None:
        """The same without waiting for the answers."""
        begin = time.time() + 0.05
        for process, one in zip(self.processes, rounds, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps([deed, *one, begin]) + "\n")
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
    """Start them, and end them."""
    running = Commands(count, environment or {})
    try:
        yield running
    finally:
        running.close()


def pretend_to_train(config: TrainConfig) -> "Finished":
    """In place of `train_and_publish`: an AssertionError if a checkpoint is lost."""
    from ray_jobs.run_dir import FINISHED_FILE, SCORES, Finished, claim
    from tweetelm.files import object_storage

    claim(config)
    folder, mine = config.folder, str(os.getpid()).encode()
    for step in range(STEPS):
        object_storage.write(f"{folder}/checkpoint_{step}/state.json", mine)
        if step >= 2:
            object_storage.remove(f"{folder}/checkpoint_{step - 2}")
        time.sleep(PAUSE_S)
        assert object_storage.read(f"{folder}/checkpoint_{step}/state.json") == mine, (
            f"checkpoint {step} is lost"
        )
    scores = {"test": dict.fromkeys(SCORES, 0.5)}
    finished = Finished(run=config.run_name, scores=scores, notices=[])
    object_storage.write(f"{folder}/{FINISHED_FILE}", json.dumps(dataclasses.asdict(finished)).encode())
    return finished


def serve_round(deed: Deed, config: TrainConfig) -> Answer:
    """Do it as the command line would."""
    from ray_jobs import train
    from ray_jobs.cli import refuse
    from ray_jobs.run_dir import claim

    trained = False

    def noted(config: TrainConfig) -> "Finished":
        nonlocal trained
        trained = True
        return pretend_to_train(config)

    # in place of the module, which takes seconds to import Ray and torch
    sys.modules["ray_jobs.training.job"] = SimpleNamespace(train_and_publish=noted)  # type: ignore[assignment]
    said, status = io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            with refuse():
                status = train.train(config) if deed == "train" else (claim(config) or 0)
        except SystemExit as end:
            status = int(str(end.code))
    return Answer(status=status, said=said.getvalue(), trained=trained)


def main() -> None:
    """Serve rounds until standard input ends."""
    import ray_jobs.training.summary  # noqa: F401  # so that the first round is as fast as the others
    import tweetelm.files.object_storage

    tweetelm.files.object_storage.find("/")
    print("ready", flush=True)
    for line in sys.stdin:
        deed, place, name, lr, begin = json.loads(line)
        time.sleep(max(0.0, begin - time.time()))
        answer: dict[str, Any] = dataclasses.asdict(serve_round(deed, configuration(place, name, lr)))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
