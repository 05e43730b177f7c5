"""Small models of tasks with two and with three labels."""

import dataclasses
from pathlib import Path

from tests.support.checkpoints import checkpoint
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE, Task

STANCE = dataclasses.replace(
    HATE,
    name="stance",
    question="Which side does this tweet take?",
    labels=("none", "against", "favor"),
    metric="mean_f1:against,favor",
    published=(),
    moderation=(),
    suite=None,
)
TASK = {2: HATE, 3: STANCE}
LABELS = {count: task.labels for count, task in TASK.items()}


def model(folder: Path, labels: int, *, seed: int = 0, task: Task | None = None) -> Predictor:
    """A random model of a task with two or three labels; writes its files into `folder`."""
    task = task or TASK[labels]
    return Predictor.load(checkpoint(folder, task, seed=seed), device="cpu", precision="float32")
