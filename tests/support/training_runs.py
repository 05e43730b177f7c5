"""A small model and tweets with a learnable rule, trained without Ray."""

import dataclasses

import numpy as np
import torch

from tweetelm.config.train_config import LoopConfig, ModelConfig, OptimConfig, TrainConfig
from tweetelm.encoding import Encoded
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.presets import preset_config
from tweetelm.predictor import classify_packed
from tweetelm.training.adapters import add_adapters
from tweetelm.training.encoded_rows import Rows, Tweets
from tweetelm.training.loop import Report, fit
from tweetelm.training.state import TrainingState
from tweetelm.training.strategy import DataParallel

CPU = DataParallel(device=torch.device("cpu"))
VOCABULARY = 64


def rows(count: int, seed: int = 0) -> Rows:
    """Tweets of 3 to 30 random tokens; the label is whether token 10 occurs."""
    random = np.random.default_rng(seed)
    encoded, labels = [], []
    for index in range(count):
        ids = random.integers(11, VOCABULARY, size=random.integers(3, 30)).tolist()
        if index % 2:
            ids[int(random.integers(len(ids)))] = 10
        encoded.append(Encoded((1, *ids), False))
        labels.append(index % 2)
    return Rows.of(encoded, labels)


def configuration(**loop: object) -> TrainConfig:
    settings = {"epochs": 2, "batch_tokens": 256, "micro_tokens": 256, "precision": "float32", **loop}
    return TrainConfig(
        task="hate",
        model=ModelConfig(name="scratch-1m", max_tokens=64),
        optim=OptimConfig(lr=1e-3),
        loop=LoopConfig(**settings),  # type: ignore[arg-type]
    )


def fresh(config: TrainConfig) -> TrainingState:
    torch.manual_seed(config.loop.seed)
    shape = preset_config("scratch-1m")
    shape.vocab_size, shape.model_dim, shape.num_labels = VOCABULARY, 64, 2
    shape.classifier_dropout = config.model.dropout
    model = OpenELMForSequenceClassification._from_config(shape, attn_implementation="varlen")
    if config.optim.mode == "lora":
        add_adapters(model, config.optim)
    return TrainingState(model=model)


def accuracy(data: Rows) -> object:
    def scorer(model: torch.nn.Module) -> dict[str, float]:
        assert isinstance(model, OpenELMForSequenceClassification)
        logits = classify_packed(model, data.sequences(range(len(data))), 1024)
        return {"accuracy": float((logits.argmax(-1).numpy() == data.labels).mean())}

    return scorer


def run(
    state: TrainingState,
    data: Rows,
    config: TrainConfig,
    steps: int | None = None,
    unlabeled: Tweets | None = None,
    strategy: DataParallel = CPU,
) -> list[Report]:
    reports, scorer = [], accuracy(data)
    each = fit(state, data, config, unlabeled=unlabeled, strategy=strategy, scorer=scorer, metric="accuracy")  # type: ignore[arg-type]
    for report in each:
        reports.append(report)
        if steps is not None and report.step >= steps:
            break
    return reports


def weights(state: TrainingState) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in state.model.parameters()])


def changed(config: TrainConfig, **parts: object) -> TrainConfig:
    """A configuration with replaced fields in its sections: ``changed(config, optim={"mode": "head"})``."""
    new = {name: dataclasses.replace(getattr(config, name), **values) for name, values in parts.items()}  # type: ignore[arg-type]
    return dataclasses.replace(config, **new)
