"""Small models of tasks with two and with three labels."""

import dataclasses
from pathlib import Path

from tests.support.checkpoints import checkpoint
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.openelm.checkpoints.tokenizer import load_tokenizer
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE, Task

STANCE = dataclasses.replace(
    HATE,
    name="stance",
    question="Which side does this tweet take?",
    labels=("none", "against", "favor"),
    metric="mean_f1:against,favor",
    published=(),
)
TASK = {2: HATE, 3: STANCE}
LABELS = {count: task.labels for count, task in TASK.items()}


def model(folder: Path, labels: int, *, seed: int = 0, task: Task | None = None) -> Predictor:
    """A random model of a task with two or three labels; writes its files into `folder`."""
    task = task or TASK[labels]
    checkpoint(folder, task, seed=seed)
    weights = load_weights(OpenELMForSequenceClassification, folder)
    encoder = Encoder(tokenizer=load_tokenizer(folder), text=TextConfig(), max_tokens=24)
    return Predictor(model=weights.eval(), encoder=encoder, task=task)
