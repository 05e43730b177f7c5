import dataclasses
import shlex

import tyro
from huggingface_hub import ModelCard

from tests.fakes import BASE, card, synthetic
from tweetelm.config import TrainConfig, identity
from tweetelm.overrides import override
from tweetelm.registry import (
    Base,
)
from tweetelm.registry.readme import render, reproduce
from tweetelm.tasks import SYNTHETIC_NOTICE


def test_the_readme_is_a_hugging_face_model_card() -> None:
    header = ModelCard(render(card(version="20261121-abc123"))).data.to_dict()
    assert header["pipeline_tag"] == "text-classification"
    assert header["library_name"] == "transformers"
    assert header["license"] == "other"
    assert header["base_model"] == "apple/OpenELM-270M"
    assert {"openelm", "hate"} <= set(header["tags"])


def test_a_local_folder_is_not_named_as_a_base_model_on_the_hub() -> None:
    local = Base(**{**BASE, "source": "/home/me/openelm", "revision": None})
    assert "base_model" not in render(card(base=local))


def test_the_readme_says_what_the_model_cannot_do_and_how_it_was_made() -> None:
    text = render(card(threshold=0.85))
    for words in (
        "Not for automated moderation",
        "CC BY-NC 4.0",
        "at least 0.85",
        "| validation | – | 0.700 |",
    ):
        assert words in text
    assert 'pipeline("text-classification", model="FOLDER", trust_remote_code=True)' in text
    assert "python -m ray_jobs.train --task hate\n" in text


def test_the_readme_carries_the_notices() -> None:
    marked = dataclasses.replace(synthetic(), base=Base(**{**BASE, "init": "random"}))
    text = render(marked)
    assert f"> **{SYNTHETIC_NOTICE}**" in text
    assert "> **random weights: nothing of Apple's pretraining**" in text
    assert "base_model" not in text
    assert SYNTHETIC_NOTICE not in render(card())


def test_the_command_of_a_card_gives_the_same_configuration_back() -> None:
    changes = {
        "data.root": "my data",
        "data.drop_overlap": False,
        "data.shuffle_labels": True,
        "text.mask_links": False,
        "model.name": "scratch-1m",
        "optim.lr": 2.5e-4,
        "loop.batch_tokens": 8192,
        "loop.patience": 2,
        "run.workers": 4,
    }
    config = override(TrainConfig(task="deepfake", name="mine"), changes)
    command = shlex.split(reproduce(dataclasses.asdict(config)))
    assert command[:3] == ["python", "-m", "ray_jobs.train"]
    assert identity(tyro.cli(TrainConfig, args=command[3:])) == identity(config)
