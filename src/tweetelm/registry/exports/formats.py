"""Writes a version in a format, checks it against `Predictor`, and keeps it only if they agree."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from tweetelm.files import atomic
from tweetelm.predictor import Predictor
from tweetelm.registry.card import README, Card
from tweetelm.registry.download import export, refuse_taken
from tweetelm.registry.exports import Format, graph
from tweetelm.registry.store import Store
from tweetelm.text.normalize import normalize

Answer = Callable[[Sequence[str]], Tensor]  # texts -> probabilities (B, K)
TOLERANCE = 1e-5
SETTINGS_FILE = "export.json"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
PROBES = (
    "",
    "x",
    "rain again 😂",
    "@somebody look at https://example.org/cat now",
    "who took the last biscuit? it was the biscuit i was saving for tomorrow &amp; for you",
    "日本語のつぶやき",
    "the match is off and the pitch is a lake, " * 60,
)
"""Texts of different lengths; the last one is longer than most models read."""


def export_as(form: Format, store: Store, card: Card, target: Path) -> float:
    """Export a version to a new folder.

    Args:
        form: tweetelm and transformers copy the checkpoint, and are checked with the library of that name;
            torch_export and onnx write one graph from padded token ids and a mask to calibrated
            probabilities, with dynamic batch and sequence.
        store: the registry.
        card: the card of the version.
        target: the new folder.

    Returns:
        The largest difference between its probabilities and those of `Predictor` in float32.

    Raises:
        FileExistsError: `target` exists; nothing is overwritten.
        ValueError: the difference exceeds 1e-5, a file of the version is damaged, or a package is missing;
            `target` is not created.
    """
    refuse_taken(target)
    if form == "onnx":
        graph.check_onnx()
    disable_progress_bar()
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic.staging_dir(target) as partial:
        version, content = partial / "version", partial / form
        export(store, f"{card.task}/versions/{card.version}", card, version)
        predictor = Predictor.load(version, device="cpu", precision="float32")
        error = largest_difference(_WRITERS[form](version, predictor, content), predictor)
        if not error <= TOLERANCE:
            raise ValueError(
                f"the probabilities of the {form} export differ from Predictor's by up to {error:.1e}; "
                f"expected at most {TOLERANCE:.0e}: {target} was not written"
            )
        if not atomic.commit(content, target):
            refuse_taken(target)
    return error


def largest_difference(answer: Answer, predictor: Predictor) -> float:
    """The largest difference of a probability over `PROBES`, in one batch and one by one."""
    expected = torch.tensor([each.probabilities for each in predictor.predict(PROBES)])
    together, alone = answer(PROBES), torch.cat([answer([text]) for text in PROBES])
    return max(float((found - expected).abs().max()) for found in (together, alone))


def _tweetelm(version: Path, predictor: Predictor, target: Path) -> Answer:
    """The files of the version."""
    version.rename(target)
    exported = Predictor.load(target, device="cpu", precision="float32")
    return lambda texts: torch.tensor([each.probabilities for each in exported.predict(texts)])


def _transformers(version: Path, predictor: Predictor, target: Path) -> Answer:
    """The files of the version, read by transformers, which does not normalize texts."""
    version.rename(target)
    model = AutoModelForSequenceClassification.from_pretrained(target, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(target)

    def answer(texts: Sequence[str]) -> Tensor:
        plain = [normalize(text, predictor.text) for text in texts]
        rows = [torch.tensor(tokenizer(text, truncation=True).input_ids)[None] for text in plain]
        with torch.no_grad():
            return torch.cat([model(input_ids=row).logits for row in rows]).softmax(-1)

    return answer


def _torch_export(version: Path, predictor: Predictor, target: Path) -> Answer:
    target.mkdir()
    classifier = graph.padded_classifier(version, predictor.temperature)
    run = graph.save_torch_export(classifier, target, predictor.max_tokens)
    return _finish_graph("torch_export", version, predictor, target, run)


def _onnx(version: Path, predictor: Predictor, target: Path) -> Answer:
    target.mkdir()
    classifier = graph.padded_classifier(version, predictor.temperature)
    run = graph.save_onnx(classifier, target, predictor.max_tokens)
    return _finish_graph("onnx", version, predictor, target, run)


def _finish_graph(
    form: Format, version: Path, predictor: Predictor, target: Path, run: Callable[[Tensor, Tensor], Tensor]
) -> Answer:
    """Add tokenizer and settings to a graph."""
    for name in (*_TOKENIZER, README):
        shutil.copyfile(version / name, target / name)
    _write_settings(form, predictor, target)

    def answer(texts: Sequence[str]) -> Tensor:
        with torch.no_grad():
            return run(*graph.pad(predictor.encode(texts)))

    return answer


def _write_settings(form: Format, predictor: Predictor, target: Path) -> None:
    """Write export.json: what a program without tweetelm needs to know."""
    settings = {
        "format": form,
        "task": predictor.task.name,
        "version": predictor.version,
        "labels": list(predictor.labels),
        "threshold": predictor.threshold,
        "max_tokens": predictor.max_tokens,
        "text": asdict(predictor.text),
        "inputs": list(graph.INPUTS),
        "output": graph.OUTPUT,
        "padding": "right",
    }
    atomic.write_text(target / SETTINGS_FILE, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


_WRITERS: dict[Format, Callable[[Path, Predictor, Path], Answer]] = {
    "tweetelm": _tweetelm,
    "transformers": _transformers,
    "torch_export": _torch_export,
    "onnx": _onnx,
}
