"""README.md of a version: the model card, with the metadata header of Hugging Face."""

import dataclasses
import shlex
from typing import Any

from tweetelm.config.train_config import TrainConfig, to_dict
from tweetelm.data.mix.lineage import MixLineage
from tweetelm.data.unlabeled import UnlabeledFiles
from tweetelm.files.origin import UNKNOWN_LICENSE
from tweetelm.registry.card import Card
from tweetelm.registry.model_card_metadata import header
from tweetelm.tasks import Task, from_json, metric_name

PLACEMENT = ("name", "run", "tracking")
RESULT_PICTURES = {
    "headline": "Test score and 95 % interval among published systems and baselines",
    "confusion-test": "Confusion matrix on test",
    "reliability": "Reliability of the probabilities",
    "slices": "Error rate by slice of test",
}

CARD_TEXT = """\
{header}
{notices}# OpenELM {task} classifier {version}

{question} Labels, in order: {labels}. Fine-tuned from `{base}` ({init}) by tweetelm {tweetelm}.

## Results

{results}
{threshold} Logits are divided by the temperature {temperature}. Model and temperature were chosen on
validation. In brackets: 95 % intervals by the bootstrap over tweets. The full report is
`evaluation/report.html`.

{result_pictures}## Error rates by group

{bias}

{group_pictures}## Use

Intended for research on {dataset}, and as one signal among several that a person reviews.
{limits}

```python
from tweetelm.predictor import Predictor

Predictor.load("FOLDER").predict(["a tweet"])
```

Without tweetelm, on transformers 5.17 or newer:

```python
from transformers import pipeline

pipeline("text-classification", model="FOLDER", trust_remote_code=True)("a tweet", truncation=True)
```

The pipeline gives the same probabilities for normalized texts. It does not normalize texts itself (settings:
`encoding.json`), so its predictions differ on tweets with links, mentions or HTML entities. It predicts the
most probable label and ignores the threshold of `card.json`. `AutoTokenizer` asks for permission to run this
folder's code unless `trust_remote_code` is set; the tokenizer does not need that code.

## Training

Data: {dataset}, md5 `{md5}`, {rows}. {mix}{unlabeled}{code}{averaging}{teacher}

```
{command}
```

## Licenses

Data: {license}. {weights_license} This card
grants no further rights. The tweets are personal data of their authors; this folder contains no tweet texts.
"""


def render(card: Card) -> str:
    """The model card as Markdown with Hugging Face's metadata header; a pure function of the card."""
    task = card.definition
    return CARD_TEXT.format(
        header=header(card, task),
        notices="".join(f"> **{notice}**\n\n" for notice in card.notices),
        task=card.task,
        version=card.version,
        question=task.question,
        labels=", ".join(f"`{label}`" for label in card.labels),
        base=card.base["name"],
        init=_init(card),
        tweetelm=card.libraries.get("tweetelm", ""),
        results=_results(card),
        result_pictures=_pictures(card, RESULT_PICTURES),
        threshold=_threshold(card, task),
        temperature=f"{card.temperature:.3g}",
        bias=_bias(card),
        group_pictures=_pictures(
            card, {f"groups-{label}": f"Error rate by group: {label}" for label in card.labels}
        ),
        dataset=_dataset(card, task),
        limits=task.limits,
        md5=card.data["md5"],
        rows=", ".join(f"{count:,} {split}" for split, count in card.data["rows"].items()),
        mix=_mix(card),
        unlabeled=_unlabeled(card),
        code=_code(card),
        averaging=_averaging(card),
        teacher=_teacher(card),
        command=reproduce(card.config),
        weights_license=_weights_license(card),
        license="the synthetic sample is tweetelm's own" if card.data["synthetic"] else task.license,
    )


def reproduce(config: dict[str, Any]) -> str:
    """The command that trains the same model, with every setting that is not the default."""
    task = from_json(config["task"])
    default = to_dict(TrainConfig(task=task))
    flags = [f"--task {task.name}{'.toml' if task.data else ''}"]
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
    values = value if isinstance(value, list | tuple) else [value]
    return f"--{section}.{name} {' '.join(shlex.quote(str(each)) for each in values)}"


def _bias(card: Card) -> str:
    """Error rates on test, overall and by group, highest first."""
    rates = card.metrics.get("test", {}).get("error_rates", [])
    if not any(group["group"] for group in rates):
        return "Not measured: no group has enough tweets in test."
    lines = [
        "Share of test tweets with a wrong label, by the group that they name (hate) or imitate (deepfake).",
        "",
        "| group | true label | tweets | error rate |",
        "|---|---|---|---|",
    ]
    for group in sorted(rates, key=lambda group: (group["group"] != "", -group["rate"])):
        rate = f"{group['rate']:.3f} [{group['low']:.3f}, {group['high']:.3f}]"
        lines.append(f"| {group['group'] or 'all'} | {group['label']} | {group['tweets']} | {rate} |")
    return "\n".join(lines)


def _pictures(card: Card, captions: dict[str, str]) -> str:
    """Links to the figures of the report that the version contains."""
    names = {name: f"evaluation/{name}.svg" for name in captions}
    links = [f"![{captions[name]}]({path})\n\n" for name, path in names.items() if path in card.files]
    return "".join(links)


def _weights_license(card: Card) -> str:
    origin = card.base.get("origin")
    if card.base["init"] != "pretrained":
        return "There are no pretrained weights."
    if origin is not None:
        license_name = origin.get("license", UNKNOWN_LICENSE)
        return f"License of the base model, which holds for these weights too: {license_name}."
    if card.base["source"].startswith("apple/"):
        return "Weights fine-tuned from Apple's OpenELM remain under Apple's license."
    return "Weights fine-tuned from Apple's OpenELM or another model remain under its license."


def _init(card: Card) -> str:
    revision = f" at revision {card.base['revision']}" if card.base["revision"] else ""
    head = f"; a new classifier: {card.base['head']}" if card.base.get("head") else ""
    layers = card.config.get("model", {}).get("layers")
    first = f", first {layers} layers" if layers else ""
    return f"{card.base['init']} weights{revision}{_origin(card)}{first}{head}"


def _origin(card: Card) -> str:
    """The model that the base model was imported from."""
    origin = card.base.get("origin")
    if origin is None:
        return ""
    name = origin.get("repository", origin["base"])
    file = f", file {origin['file']}" if "file" in origin else ""
    details = f"sha256 `{origin['sha256']}`, quantization {origin['quantization']}"
    return f", imported from {name}{file} ({details})"


def _results(card: Card) -> str:
    """A row per split: the headline metric first."""
    names = [card.metric, *(name for name in ("accuracy", "macro_f1", "auroc") if name != card.metric)]
    titles = " | ".join(metric_name(name) for name in names)
    rows = [f"| split | tweets | {titles} |", "|---" * (len(names) + 2) + "|"]
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
        return "Predicts the most probable label."
    return f"Predicts `{task.positive}` at probability >= {card.threshold:g}."


def _dataset(card: Card, task: Task) -> str:
    return f"a synthetic substitute for {task.dataset}" if card.data["synthetic"] else task.dataset


def _unlabeled(card: Card) -> str:
    used = (("language modeling", card.data.get("unlabeled")), ("the teacher", card.data.get("distilled")))
    return "".join(f"For {what}: {_files(found)}. " for what, found in used if found)


def _files(found: dict[str, Any]) -> str:
    fields = {field.name: found[field.name] for field in dataclasses.fields(UnlabeledFiles)}
    return f"{UnlabeledFiles(**fields)}, md5 `{found['md5']}`"


def _mix(card: Card) -> str:
    """The recipe and the parts of a mixed dataset."""
    found = card.data.get("mix")
    if not found:
        return ""
    fields = {field.name: found[field.name] for field in dataclasses.fields(MixLineage)}
    return f"A mixed dataset: {MixLineage(**fields)}. "


def _averaging(card: Card) -> str:
    share = card.config.get("loop", {}).get("average")
    return f"\nThe weights are the mean over the last {share:.0%} of the training steps." if share else ""


def _teacher(card: Card) -> str:
    """The version whose probabilities were learned."""
    found = card.base.get("teacher")
    if not found:
        return ""
    settings = card.config["distill"]
    return (
        f"\nDistilled from version `{found['version']}` (content `{found['content'][:12]}`): weight "
        f"{settings['weight']:g}, temperature {settings['temperature']:g}."
    )


def _code(card: Card) -> str:
    if card.git is None:
        return "The code's git commit is unknown."
    dirty = ", with local changes" if card.git["dirty"] else ""
    return f"Code: git commit `{card.git['commit']}`{dirty}."
