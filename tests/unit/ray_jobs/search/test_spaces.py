"""Search spaces: every key and value fits the configuration."""

import pytest
from ray import tune

from ray_jobs.search.spaces import SPACES, check, plain
from tweetelm.config.train_config import TrainConfig


@pytest.mark.parametrize("name", SPACES)
def test_spaces_have_valid_keys_and_values(name: str) -> None:
    check(SPACES[name], TrainConfig(task="hate"))


def test_misspelled_key_suggests_the_right_one() -> None:
    with pytest.raises(ValueError, match=r"'optim\.lrr'; did you mean optim\.lr\?"):
        check({"optim.lrr": tune.choice([1e-3])}, TrainConfig(task="hate"))


def test_out_of_range_value_is_rejected_first() -> None:
    with pytest.raises(ValueError, match=r"dropout is 1\.5"):
        check({"model.dropout": tune.choice([0.1, 1.5])}, TrainConfig(task="hate"))


def test_sample_becomes_plain_values() -> None:
    import numpy as np

    assert plain({"a": np.float64(0.5), "b": "x"}) == {"a": 0.5, "b": "x"}
