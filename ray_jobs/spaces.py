"""What a search may vary: dotted configuration keys and the values they may take."""

from typing import Any

from ray import tune

from tweetelm.config import TrainConfig
from tweetelm.overrides import override

Space = dict[str, Any]

SPACES: dict[str, Space] = {
    "default": {
        "model.name": tune.choice(["openelm-270m", "openelm-450m"]),
        "optim.lr": tune.loguniform(5e-6, 1e-4),
        "optim.layer_decay": tune.choice([1.0, 0.9]),
        "loop.batch_tokens": tune.choice([2048, 4096]),
    },
    "tiny": {
        "model.name": tune.choice(["scratch-1m", "scratch-4m"]),
        "optim.lr": tune.loguniform(1e-3, 4e-3),
        "model.dropout": tune.choice([0.0, 0.1]),
    },
}


def check(space: Space, base: TrainConfig) -> None:
    """See that every key names a setting and every listed value is allowed, before anything starts.

    Raises:
        ValueError: one does not; the message suggests the nearest setting.
    """
    for key, domain in space.items():
        for value in getattr(domain, "categories", None) or [domain.sample()]:
            override(base, {key: value})


def plain(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample as plain Python values; some searchers hand back numpy scalars."""
    return {key: value.item() if hasattr(value, "item") else value for key, value in sample.items()}
