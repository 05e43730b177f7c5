"""The YAML header of a version's README.md, for the Hugging Face hub."""

import json
import re
from typing import Any

from tweetelm.files.origin import UNKNOWN_LICENSE
from tweetelm.registry.card import Card
from tweetelm.tasks import Task, metric_name

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
TYPES = {"accuracy": "accuracy", "macro_f1": "f1", "auroc": "roc_auc"}


def header(card: Card, task: Task) -> str:
    """The header as YAML. Values are written as JSON, which is valid YAML."""
    lines = [
        "---",
        "pipeline_tag: text-classification",
        "library_name: transformers",
        "license: other",
        f"license_name: {json.dumps(_license(card, task))}",
        "language: en",
        *_list("tags", ["openelm", "tweets", "tweetelm", card.task] + ["synthetic"] * card.data["synthetic"]),
        *_list("metrics", ["accuracy", "f1"]),
    ]
    if task.hub_dataset and not card.data["synthetic"]:
        lines += _list("datasets", [task.hub_dataset])
    if not card.data["synthetic"]:
        lines.append(f"model-index: {json.dumps([_index(card, task)])}")
    source = card.base.get("origin", {}).get("repository", card.base["source"])
    if card.base["init"] == "pretrained" and card.base["revision"] and HUB_ID.fullmatch(source):
        lines.append(f"base_model: {json.dumps(source)}")
    return "\n".join([*lines, "---", ""])


def _license(card: Card, task: Task) -> str:
    """License names: of the pretrained weights, if they are known, and of the data."""
    apple = card.base["init"] == "pretrained" and card.base["source"].startswith("apple/")
    imported = card.base.get("origin", {}).get("license", UNKNOWN_LICENSE)
    return "-and-".join(
        ["apple-sample-code-license"] * apple
        + ([imported] if imported != UNKNOWN_LICENSE else [])
        + ["apache-2.0" if card.data["synthetic"] else task.license_name]
    )


def _index(card: Card, task: Task) -> dict[str, Any]:
    """Results in the model-index format of the hub; intervals are arguments of the metrics."""
    results = [
        {
            "task": {"type": "text-classification", "name": task.question},
            "dataset": {
                "name": task.dataset,
                "type": task.hub_dataset or task.name,
                "split": split,
                "revision": card.data["md5"],
            },
            "metrics": [_metric(metrics, name) for name in TYPES if metrics.get(name) is not None],
        }
        for split, metrics in card.metrics.items()
    ]
    return {"name": f"openelm-{card.task}-{card.version}", "results": results}


def _metric(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    """A metric; its interval is an argument because the format has no field for it."""
    ends = metrics.get("intervals", {}).get(name)
    value = {"type": TYPES[name], "name": metric_name(name), "value": metrics[name]}
    return value | ({"args": {"interval_95": ends}} if ends else {})


def _list(key: str, values: list[str]) -> list[str]:
    return [f"{key}:", *(f"- {json.dumps(value)}" for value in values)]
