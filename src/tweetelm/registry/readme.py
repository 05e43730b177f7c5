"""README.md of a version: the model card that Hugging Face and people read."""

import json
import re
import shlex
from typing import Any

from tweetelm.config import TrainConfig, to_dict
from tweetelm.registry.card import Card
from tweetelm.tasks import TASKS, Task

PLACEMENT = ("name", "run", "tracking")
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")

NAMES = {"macro_f1": "macro-F1", "accuracy": "accuracy", "auroc": "AUROC"}
METRIC_TYPES = {"accuracy": "accuracy", "macro_f1": "f1", "auroc": "roc_auc"}

CARD_TEXT = """\
{header}
{notices}# OpenELM {task} classifier {version}

{question} Labels, in order: {labels}. Fine-tuned from `{base}` ({init}) by tweetelm {tweetelm}.

## Results

{results}
{threshold} Probabilities are calibrated with temperature {temperature} (fitted on validation). In brackets: 95 %
intervals by the bootstrap over tweets. Model selection used validation only. The whole report is in
`evaluation/report.html`.

## On whom errors fall

{bias}

## Use

Intended for research on {dataset} and as one signal among several, read by a person.
{limits}

```python
from tweetelm.predictor import Predictor

Predictor.load("FOLDER").predict(["a tweet"])
```

Without tweetelm, on transformers 5.17 or newer:

```python
from transformers import pipeline

pipeline("text-classification", model="FOLDER", trust_remote_code=True)("a tweet")
```

The pipeline does not normalise the text as training did (`encoding.json` says how), nor does it know the
temperature and the threshold of `card.json`: its answers differ on tweets with links, mentions or entities.

## Training

Data: {dataset}, md5 `{md5}`, {rows}. {code}

```
{command}
```

## Licences

Data: {licence}. Weights that start from Apple's OpenELM stay under Apple's licence for them, which this card
does not widen. The tweets are personal data of those who wrote them; none of their text is in this folder.
"""


def render(card: Card) -> str:
    """The model card as Markdown with Hugging Face's metadata header; a pure function of the card."""
    task = TASKS[card.task]
    return CARD_TEXT.format(
        header=_header(card, task),
        notices="".join(f"> **{notice}**\n\n" for notice in card.notices),
        task=card.task,
        version=card.version,
        question=task.question,
        labels=", ".join(f"`{label}`" for label in card.labels),
        base=card.base["name"],
        init=_init(card),
        tweetelm=card.libraries.get("tweetelm", ""),
        results=_results(card),
        threshold=_threshold(card, task),
        temperature=f"{card.temperature:.3g}",
        bias=_bias(card),
        dataset=_dataset(card, task),
        limits=task.limits,
        md5=card.data["md5"],
        rows=", ".join(f"{count:,} {split}" for split, count in card.data["rows"].items()),
        code=_code(card),
        command=reproduce(card.config),
        licence="the synthetic sample is tweetelm's own" if card.data["synthetic"] else task.licence,
    )


def reproduce(config: dict[str, Any]) -> str:
    """The command that trains the same model: every setting that shapes it and is not the default."""
    default = to_dict(TrainConfig(task=config["task"]))
    flags = [f"--task {config['task']}"]
    for section, values in config.items():
        if section not in PLACEMENT and isinstance(values, dict):
            usual = default.get(section, {})
            changed = {key: value for key, value in values.items() if value != usual.get(key)}
            flags += [_flag(section, key, value) for key, value in changed.items()]
    return " ".join(["python -m ray_jobs.train", *flags])


def _flag(section: str, key: str, value: Any) -> str:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{section}.{name}" if value else f"--{section}.no-{name}"
    return f"--{section}.{name} {shlex.quote(str(value))}"


def _header(card: Card, task: Task) -> str:
    """YAML that Hugging Face reads; JSON strings are valid YAML."""
    lines = [
        "---",
        "pipeline_tag: text-classification",
        "library_name: transformers",
        "license: other",
        f"license_name: {json.dumps(_licence(card, task))}",
        "language: en",
        *_list("tags", ["openelm", "tweets", "tweetelm", card.task] + ["synthetic"] * card.data["synthetic"]),
        *_list("metrics", ["accuracy", "f1"]),
    ]
    if task.hub_dataset and not card.data["synthetic"]:
        lines += _list("datasets", [task.hub_dataset])
    if not card.data["synthetic"]:
        lines.append(f"model-index: {json.dumps([_index(card, task)])}")
    if card.base["init"] == "pretrained" and card.base["revision"] and HUB_ID.fullmatch(card.base["source"]):
        lines.append(f"base_model: {json.dumps(card.base['source'])}")
    return "\n".join([*lines, "---", ""])


def _licence(card: Card, task: Task) -> str:
    """Names of the terms that hold: of Apple's weights, if it started from them, and of the data."""
    apple = card.base["init"] == "pretrained" and card.base["source"].startswith("apple/")
    return "-and-".join(
        ["apple-sample-code-license"] * apple
        + ["apache-2.0" if card.data["synthetic"] else task.licence_name]
    )


def _index(card: Card, task: Task) -> dict[str, Any]:
    """Results as the hub's model-index takes them; intervals as an argument of the metric."""
    results = [
        {
            "task": {"type": "text-classification", "name": task.question},
            "dataset": {
                "name": task.dataset,
                "type": task.hub_dataset or task.name,
                "split": split,
                "revision": card.data["md5"],
            },
            "metrics": [
                {
                    "type": kind,
                    "name": NAMES[name],
                    "value": metrics[name],
                    **_interval_argument(metrics, name),
                }
                for name, kind in METRIC_TYPES.items()
                if metrics.get(name) is not None
            ],
        }
        for split, metrics in card.metrics.items()
    ]
    return {"name": f"openelm-{card.task}-{card.version}", "results": results}


def _interval_argument(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    ends = metrics.get("intervals", {}).get(name)
    return {"args": {"interval_95": ends}} if ends else {}


def _bias(card: Card) -> str:
    """The error rates of test by group, worst first."""
    rates = card.metrics.get("test", {}).get("error_rates", [])
    groups = [found for found in rates if found["group"]]
    if not groups:
        return "Not measured: no group of people is named in, or wrote, enough tweets of test."
    overall = {found["label"]: found for found in rates if not found["group"]}
    head = ["| group | true label | tweets | mistaken |", "|---|---|---|---|"]
    rows = [*overall.values(), *sorted(groups, key=lambda found: -found["rate"])]
    return (
        "The share of test tweets whose true label is denied, by the people they name or imitate.\n\n"
        + "\n".join(
            head
            + [
                f"| {found['group'] or 'all'} | {found['label']} | {found['tweets']} | "
                f"{found['rate']:.3f} [{found['low']:.3f}, {found['high']:.3f}] |"
                for found in rows
            ]
        )
    )


def _list(key: str, values: list[str]) -> list[str]:
    return [f"{key}:", *(f"- {json.dumps(value)}" for value in values)]


def _init(card: Card) -> str:
    revision = f" at revision {card.base['revision']}" if card.base["revision"] else ""
    return f"{card.base['init']} weights{revision}"


def _results(card: Card) -> str:
    """A row per split: the headline metric first."""
    names = [card.metric, *(name for name in ("accuracy", "macro_f1", "auroc") if name != card.metric)]
    rows = [
        f"| split | tweets | {' | '.join(NAMES[name] for name in names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for split, metrics in card.metrics.items():
        values = (_value(metrics, name) for name in names)
        rows.append(f"| {split} | {metrics.get('n', '–')} | {' | '.join(values)} |")
    return "\n".join(rows) + "\n"


def _value(metrics: dict[str, Any], name: str) -> str:
    if metrics.get(name) is None:
        return "–"
    ends = metrics.get("intervals", {}).get(name)
    return f"{metrics[name]:.3f}" + (f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else "")


def _threshold(card: Card, task: Task) -> str:
    if card.threshold is None:
        return "The likeliest label is told."
    return f"`{task.positive}` is told where its probability is at least {card.threshold:g}."


def _dataset(card: Card, task: Task) -> str:
    return f"a synthetic stand-in for {task.dataset}" if card.data["synthetic"] else task.dataset


def _code(card: Card) -> str:
    if card.git is None:
        return "The code's git commit is unknown."
    dirty = ", with local changes" if card.git["dirty"] else ""
    return f"Code: git commit `{card.git['commit']}`{dirty}."
