"""Inference: loads a checkpoint or published version and classifies texts. All callers use this module."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from tweetelm import precision as arithmetic
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import Encoded, Encoder, pass_tokens, token_batches
from tweetelm.openelm import OpenELMConfig, OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.openelm.inference.cuda_graphs import can_capture, capture
from tweetelm.openelm.inference.onednn import can_prepack, is_prepacked, prepack
from tweetelm.openelm.packing import pack_onto
from tweetelm.tasks import Task
from tweetelm.threads import fit_threads

CARD_FILE = "card.json"


@dataclass(frozen=True)
class Prediction:
    """The prediction for one tweet.

    Attributes:
        label: the most probable label. With a threshold in the version, the positive label if its
            probability reaches the threshold, else the negative label.
        probabilities: one per label, in the task's order, calibrated by the version's temperature.
        tokens: number of tokens read, including BOS.
        truncated: whether the tweet exceeded the model's length limit.
    """

    label: str
    probabilities: tuple[float, ...]
    tokens: int
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A loaded classifier. Results do not depend on batch, order or padding, except for rounding."""

    model: OpenELMForSequenceClassification
    encoder: Encoder
    task: Task
    card: dict[str, Any] | None = None
    batch_tokens: int | None = None

    @classmethod
    def load(
        cls, path: str | Path, *, device: str = "auto", precision: arithmetic.Precision = "auto"
    ) -> "Predictor":
        """Load a classifier from a folder.

        Args:
            path: a training checkpoint or a published version.
            device: "cpu", "cuda", or "auto" for the GPU if there is one.
            precision: "float32", "bf16", or "auto" for bfloat16 if the model is large and the hardware
                supports it.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged or does not match the others.
        """
        folder, target = Path(path), arithmetic.pick_device(device)
        encoder, task = Encoder.load(folder)
        model = load_weights(OpenELMForSequenceClassification, folder)
        _check_fit(folder, model.config, encoder, task)
        model = ready(model, target, precision)
        return cls(model=model, encoder=encoder, task=task, card=_read_card(folder / CARD_FILE))

    @property
    def labels(self) -> tuple[str, ...]:
        return self.task.labels

    @property
    def version(self) -> str:
        """The published version; "" for a checkpoint that was not published."""
        return str(self.card["version"]) if self.card else ""

    @property
    def threshold(self) -> float | None:
        """Minimum probability of the positive label; None predicts the most probable label."""
        return self.card["threshold"] if self.card else None

    @property
    def precision(self) -> Literal["bf16", "float32"]:
        """The precision of the backbone."""
        weights = self.model.transformer.token_embeddings.weight
        return "bf16" if weights.dtype == torch.bfloat16 else "float32"

    @property
    def device(self) -> str:
        """The device type: "cpu" or "cuda"."""
        return str(self.model.device.type)

    @property
    def max_tokens(self) -> int:
        """Maximum number of tokens read per text, including BOS."""
        return self.encoder.max_tokens

    @property
    def temperature(self) -> float:
        """The divisor of the logits; 1.0 until fitted."""
        return float(self.card["temperature"]) if self.card else 1.0

    @property
    def text(self) -> TextConfig:
        """Normalization settings."""
        return self.encoder.text

    def with_text(self, text: TextConfig) -> "Predictor":
        """The same model with other normalization settings; the weights are shared."""
        return dataclasses.replace(self, encoder=self.encoder.with_text(text))

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode texts as token ids."""
        return self.encoder.encode(texts)

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is iterable

    @overload
    def predict(self, texts: Iterable[str]) -> list[Prediction]: ...

    def predict(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Classify one text, or several: a list, an array, or a column of a table. Keeps the order.

        Raises:
            ValueError: an item is not a text; the message gives its position.
        """
        if isinstance(texts, str):
            return self.classify(self.encode([texts]))[0]
        return self.classify(self.encode(_all_text(texts)))

    def classify(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Classify encoded texts; keeps the order."""
        if not encoded:
            return []
        probabilities = (self.logits(encoded) / self.temperature).softmax(-1).tolist()
        return [
            Prediction(self._label(row), tuple(row), len(item.ids), item.truncated)
            for row, item in zip(probabilities, encoded, strict=True)
        ]

    def logits(self, encoded: Sequence[Encoded]) -> Tensor:
        """Logits (N, K) of N encoded texts, float32 on the CPU, in the given order, before temperature."""
        return classify_packed(self.model, [item.ids for item in encoded], self.batch_tokens)

    def _label(self, probabilities: Sequence[float]) -> str:
        if self.threshold is not None:
            return self.labels[-1] if probabilities[-1] >= self.threshold else self.labels[0]
        return self.labels[max(range(len(probabilities)), key=lambda i: probabilities[i])]


def _all_text(given: Iterable[Any]) -> list[str]:
    """The texts of a collection, each checked.

    Raises:
        ValueError: `given` is not a collection of texts.
    """
    if hasattr(given, "columns"):
        raise ValueError('predict was given a table; expected one of its columns: predict(table["text"])')
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"predict was given a {type(given).__name__}; expected a text or a list of texts")
    texts = list(given)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"row {position} (counted from 0{_index_label(given, position)}) contains "
                f"{str(text)[:40]!r} of type {type(text).__name__}; expected a text. Drop such rows, for "
                "example with `column.dropna()`, or replace them by ''"
            )
    return texts


def _index_label(given: Iterable[Any], position: int) -> str:
    """The index label of a row, if `given` is a pandas column."""
    index = getattr(given, "index", None)
    return "" if index is None or callable(index) else f", index {index[position]}"


def _check_fit(folder: Path, config: OpenELMConfig, encoder: Encoder, task: Task) -> None:
    """Raise ValueError unless weights, tokenizer and task of a folder match."""
    labels = tuple((config.id2label or {}).values())
    unnamed = tuple(f"LABEL_{i}" for i in range(len(task.labels)))  # transformers' default names
    if labels not in (task.labels, unnamed):
        raise ValueError(
            f"{folder}/config.json has labels {labels}, but {folder}/encoding.json has {task.labels}: the "
            "files belong to different checkpoints; copy the folder again"
        )
    pieces = encoder.tokenizer.get_vocab_size()
    if pieces > config.vocab_size:
        raise ValueError(
            f"{folder}/tokenizer.json has {pieces} tokens, but the model has only {config.vocab_size} "
            "embeddings: the files belong to different checkpoints; copy the folder again"
        )


def _read_card(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        threshold = card["threshold"]
        if not card["version"] or float(card["temperature"]) <= 0:
            raise ValueError("version is empty or temperature is not positive")
        if threshold is not None and not 0 <= float(threshold) <= 1:
            raise ValueError(f"threshold is {threshold}; expected 0 to 1 or null")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); download the version again"
        ) from error
    return card


def ready(
    model: OpenELMForSequenceClassification, device: torch.device, precision: arithmetic.Precision
) -> OpenELMForSequenceClassification:
    """Prepare a float32 model for inference on `device`, in place.

    With precision "auto", a large model computes in bfloat16 if the hardware supports it. On a CPU, the
    weights of a large model are packed for oneDNN; it can then be neither trained nor saved. On a GPU, the
    forward pass in half precision is recorded as CUDA graphs; the model can then be neither trained nor
    moved.
    """
    large = model.num_parameters() >= arithmetic.LARGE
    if precision == "bf16" or (precision == "auto" and large and arithmetic.has_bf16(device)):
        model.bfloat16()
        model.score.float()
    model.to(device)  # type: ignore[arg-type]  # transformers wraps torch's `to`
    if large and can_prepack(device, model.transformer.token_embeddings.weight.dtype):
        prepack(model)
    model.eval()
    if can_capture(model):
        capture(model)
    return model


def classify_packed(
    model: OpenELMForSequenceClassification,
    sequences: Sequence[Sequence[int]],
    batch_tokens: int | None = None,
) -> Tensor:
    """Logits (N, K) of N token sequences, float32 on the CPU, in the given order.

    Runs packed batches of at most `batch_tokens` tokens; None for the device's default (see `pass_tokens`).
    """
    device = next(model.parameters()).device
    order: list[int] = []
    logits = [torch.empty(0, model.num_labels, device=device)]
    on_cpu = device.type == "cpu"
    with torch.inference_mode():
        for rows in token_batches([len(s) for s in sequences], pass_tokens(device, batch_tokens)):
            if on_cpu:
                fit_threads()
            batch = pack_onto(device, [sequences[row] for row in rows], compiled=is_prepacked(model))
            order += rows
            logits.append(model(**batch.inputs()).logits[: len(rows)].float())
    out = torch.empty(len(sequences), model.num_labels)
    out[order] = torch.cat(logits).cpu()  # the only wait for the GPU: it computes while batches are packed
    return out
