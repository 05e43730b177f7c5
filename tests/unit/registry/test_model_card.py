import dataclasses
import shlex

import tyro
from huggingface_hub import ModelCard

from tests.support.fakes import BASE, card, synthetic
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig
from tweetelm.registry import (
    Base,
)
from tweetelm.registry.model_card import render, reproduce
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
    assert "> **random initial weights: no pretraining**" in text
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
    assert tyro.cli(TrainConfig, args=command[3:]).identity == config.identity


MEASURED = {
    "n": 4,
    "accuracy": 0.52,
    "macro_f1": 0.5,
    "auroc": 0.6,
    "intervals": {"accuracy": [0.5, 0.54], "macro_f1": [0.48, 0.53], "auroc": None},
    "error_rates": [
        {"group": "", "label": "not-hate", "tweets": 90, "errors": 9, "rate": 0.1, "low": 0.05, "high": 0.18},
        {
            "group": "women",
            "label": "not-hate",
            "tweets": 20,
            "errors": 8,
            "rate": 0.4,
            "low": 0.2,
            "high": 0.6,
        },
    ],
}


def test_the_hub_finds_the_results_in_the_header_with_their_intervals() -> None:
    made = card(version="20261121-abc123", metrics={"validation": {"macro_f1": 0.7}, "test": MEASURED})
    header = ModelCard(render(made)).data
    found = {(result.dataset_split, result.metric_type): result for result in header.eval_results or []}
    assert found["test", "f1"].metric_value == 0.5
    assert found["test", "f1"].metric_args == {"interval_95": [0.48, 0.53]}
    assert found["test", "f1"].dataset_revision == made.data["md5"]
    assert found["test", "roc_auc"].metric_args is None
    assert found["validation", "f1"].metric_value == 0.7
    assert header.datasets == ["cardiffnlp/tweet_eval"]


def test_the_header_names_the_terms_of_weights_and_data() -> None:
    scratch = Base(**{**BASE, "init": "scratch", "source": "none", "revision": None})
    names = [ModelCard(render(made)).data.to_dict()["license_name"] for made in (card(), card(base=scratch))]
    assert names == ["apple-sample-code-license-and-cc-by-nc-4.0", "cc-by-nc-4.0"]


def test_results_on_the_synthetic_sample_are_not_told_to_the_hub() -> None:
    header = ModelCard(render(synthetic())).data
    assert header.eval_results is None
    assert header.datasets is None


def test_the_readme_says_on_whom_errors_fall() -> None:
    text = render(card(metrics={"validation": {"macro_f1": 0.7}, "test": MEASURED}, temperature=1.5))
    assert "| test | 4 | 0.500 [0.480, 0.530] | 0.520 [0.500, 0.540] | 0.600 |" in text
    assert "| all | not-hate | 90 | 0.100 [0.050, 0.180] |\n| women | not-hate | 20 | 0.400" in text
    assert "the temperature 1.5," in text
    assert "Not measured: no group of people" in render(card())
