"""Search spaces: dotted configuration keys and the domains of their values."""

import difflib
from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.search.sample import Categorical, Domain, Float, Integer

from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig

Space = dict[str, Any]

SPACES: dict[str, Space] = {
    # Apple's two sizes, full fine-tuning
    "default": {
        "model.name": tune.choice(["openelm-270m", "openelm-450m"]),
        "optim.lr": tune.loguniform(5e-6, 1e-4),
        "optim.schedule": tune.choice(["cosine", "linear"]),
        "loop.batch_tokens": tune.choice([2048, 4096, 8192]),
        "loop.epochs": tune.choice([2, 3, 4]),
        "model.dropout": tune.choice([0.0, 0.1]),
        "pretrain.epochs": tune.choice([0, 1]),
    },
    # Apple's two sizes: full, LoRA and head-only training
    "modes": {
        "model.name": tune.choice(["openelm-270m", "openelm-450m"]),
        "optim.mode": tune.choice(["full", "lora", "head"]),
        "optim.lr": tune.loguniform(1e-5, 1e-3),
    },
    # the two scratch sizes on real data
    "scratch": {
        "model.name": tune.choice(["scratch-1m", "scratch-4m"]),
        "optim.lr": tune.loguniform(3e-4, 3e-3),
        "optim.schedule": tune.choice(["cosine", "linear"]),
        "loop.batch_tokens": tune.choice([1024, 2048, 4096]),
        "loop.epochs": tune.choice([1, 2, 3]),
        "model.dropout": tune.choice([0.0, 0.1, 0.2]),
        "pretrain.epochs": tune.choice([0, 2, 5]),
    },
    # the two scratch sizes in a few minutes, for `make demo`
    "tiny": {
        "model.name": tune.choice(["scratch-1m", "scratch-4m"]),
        "optim.lr": tune.loguniform(1e-3, 4e-3),
        "model.dropout": tune.choice([0.0, 0.1]),
    },
}


def find_space(name: str) -> Space:
    """Return the named space.

    Raises:
        ValueError: the name is unknown; the message suggests the closest one.
    """
    if name not in SPACES:
        near = difflib.get_close_matches(name, SPACES, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown space {name!r}; did you mean {near}? Expected one of {', '.join(SPACES)}")
    return SPACES[name]


def check(space: Mapping[str, Any], base: TrainConfig) -> None:
    """Check that every key is a setting and every value is valid.

    Raises:
        ValueError: a key or a value is invalid; the message suggests the closest setting.
    """
    for key, domain in space.items():
        for value in _extremes(domain):
            override(base, {key: value})


def most_epochs(space: Mapping[str, Any], base: TrainConfig) -> int:
    """Return the epochs of the longest trial."""
    domain = space.get("loop.epochs")
    return base.loop.epochs if domain is None else max(int(value) for value in _extremes(domain))


def as_grid(space: Mapping[str, Any]) -> Space:
    """Return the space as a grid that tries every combination of the listed values once.

    Raises:
        ValueError: a setting has a range instead of listed values.
    """
    for key, domain in space.items():
        if not isinstance(domain, Categorical):
            raise ValueError(
                f"a grid needs listed values, but {key} is a range; list values with tune.choice([…]) in "
                f"ray_jobs/search/spaces.py, or use --propose random"
            )
    return {key: tune.grid_search(list(domain.categories)) for key, domain in space.items()}


def grid_size(space: Mapping[str, Any]) -> int:
    """Return the number of combinations of the listed values.

    Raises:
        ValueError: a setting has a range instead of listed values.
    """
    size = 1
    for values in as_grid(space).values():
        size *= len(values["grid_search"])
    return size


def samples(space: Mapping[str, Any], count: int, seed: int) -> list[dict[str, Any]]:
    """Return `count` random samples of the space, for planning a search."""
    import numpy as np

    state = np.random.RandomState(seed)
    return [
        plain({key: domain.sample(random_state=state) for key, domain in space.items()}) for _ in range(count)
    ]


def plain(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample with plain Python values; some searchers return numpy scalars."""
    return {key: value.item() if hasattr(value, "item") else value for key, value in sample.items()}


def describe(space: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return a space as plain data: the listed values, or the ends of a range."""
    return {key: _extremes(domain) for key, domain in space.items()}


def _extremes(domain: Domain) -> list[Any]:
    """Return the listed values, or both ends of a range."""
    if isinstance(domain, Categorical):
        return list(domain.categories)
    if isinstance(domain, Float):
        return [domain.lower, domain.upper]
    if isinstance(domain, Integer):
        return [domain.lower, domain.upper - 1]
    return [domain.sample()]
