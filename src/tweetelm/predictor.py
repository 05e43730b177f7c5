"""The one inference path: a checkpoint or a published version, and texts in, predictions out."""

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

CARD_FILE = "card.json"


@dataclass(frozen=True)
class Prediction:
    """A verdict on one tweet.

    Attributes:
        label: the most probable label, or the positive one if its probability reaches the version's
        threshold.
        probabilities: of each label, in the task's order; calibrated by the version's temperature.
        tokens: that were read, BOS included.
        truncated: whether the tweet was longer than the model reads.
    """

    label: str
    probabilities: tuple[float, ...]
    tokens: int
    truncated: bool


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A loaded classifier. Results do not depend on batch, order or padding (to rounding)."""

    model: OpenELMForSequenceClassification
    encoder: Encoder
    task: Task
    card: dict[str, Any] | None = None
    batch_tokens: int | None = None

    @classmethod
    def load(
        cls, path: str | Path, *, device: str = "auto", precision: arithmetic.Precision = "auto"
    ) -> "Predictor":
        """Load a folder.

        Args:
            path: a training checkpoint or a published version.
            device: "cpu", "cuda", or "auto" for the GPU if there is one.
            precision: "float32", "bf16", or "auto": bfloat16 for a large model where the hardware multiplies
            it.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged or does not fit the others.
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
        """The published version, or "" for a checkpoint that was never published."""
        return str(self.card["version"]) if self.card else ""

    @property
    def threshold(self) -> float | None:
        """Probability from which the positive label is given; None: the most probable label is."""
        return self.card["threshold"] if self.card else None

    @property
    def precision(self) -> Literal["bf16", "float32"]:
        """What the backbone computes in."""
        weights = self.model.transformer.token_embeddings.weight
        return "bf16" if weights.dtype == torch.bfloat16 else "float32"

    @property
    def device(self) -> str:
        """What it computes on: "cpu" or "cuda"."""
        return str(self.model.device.type)

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read."""
        return self.encoder.max_tokens

    @property
    def temperature(self) -> float:
        """What logits are divided by; 1.0 until fitted."""
        return float(self.card["temperature"]) if self.card else 1.0

    @property
    def text(self) -> TextConfig:
        """How texts are rewritten before they are tokenized."""
        return self.encoder.text

    def with_text(self, text: TextConfig) -> "Predictor":
        """The same model, reading texts in another way; the weights are shared."""
        return dataclasses.replace(self, encoder=self.encoder.with_text(text))

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Texts to token ids."""
        return self.encoder.encode(texts)

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is iterable

    @overload
    def predict(self, texts: Iterable[str]) -> list[Prediction]: ...

    def predict(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Classify one text, or several in their order: a list, an array, a column of a table.

        Raises:
            ValueError: something in it is no text; the message says where.
        """
        if isinstance(texts, str):
            return self.classify(self.encode([texts]))[0]
        return self.classify(self.encode(_all_text(texts)))

    def classify(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        """Classify encoded texts, in their order."""
        if not encoded:
            return []
        probabilities = (self.logits(encoded) / self.temperature).softmax(-1).tolist()
        return [
            Prediction(self._label(row), tuple(row), len(item.ids), item.truncated)
            for row, item in zip(probabilities, encoded, strict=True)
        ]

    def logits(self, encoded: Sequence[Encoded]) -> Tensor:
        """(N, K) float32 on the CPU, in the order given."""
        return classify_packed(self.model, [item.ids for item in encoded], self.batch_tokens)

    def _label(self, probabilities: Sequence[float]) -> str:
        if self.threshold is not None:
            return self.labels[-1] if probabilities[-1] >= self.threshold else self.labels[0]
        return self.labels[max(range(len(probabilities)), key=lambda i: probabilities[i])]


def _all_text(given: Iterable[Any]) -> list[str]:
    """The texts of a collection, after a look at each.

    Raises:
        ValueError: it is no collection of texts.
    """
    if hasattr(given, "columns"):
        raise ValueError('predict was given a table; expected one column of it: predict(table["text"])')
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise ValueError(f"predict was given a {type(given).__name__}; expected a text or a list of texts")
    texts = list(given)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"row {place} (counted from 0{_named(given, place)}) holds {str(text)[:40]!r} of type "
                f"{type(text).__name__}; expected a text. Leave such rows out, for instance with "
                "`column.dropna()`, or write '' for them"
            )
    return texts


def _named(given: Iterable[Any], place: int) -> str:
    """How a pandas column calls that row."""
    index = getattr(given, "index", None)
    return "" if index is None or callable(index) else f", index {index[place]}"


def _check_fit(folder: Path, config: OpenELMConfig, encoder: Encoder, task: Task) -> None:
    """Weights, tokenizer and task of a folder belong together."""
    labels = tuple((config.id2label or {}).values())
    unnamed = tuple(f"LABEL_{i}" for i in range(len(task.labels)))  # transformers' names for no names
    if labels not in (task.labels, unnamed):
        raise ValueError(
            f"{folder}/config.json has labels {labels}, {folder}/encoding.json {task.labels}: the files are "
            "of different checkpoints; copy the folder again"
        )
    pieces = encoder.tokenizer.get_vocab_size()
    if pieces > config.vocab_size:
        raise ValueError(
            f"{folder}/tokenizer.json has {pieces} pieces, the model only {config.vocab_size} embeddings: "
            "the files are of different checkpoints; copy the folder again"
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
            raise ValueError(f"threshold is {threshold}, expected 0 to 1 or null")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path} is damaged ({type(error).__name__}: {error}); fetch the version again"
        ) from error
    return card


def ready(
    model: OpenELMForSequenceClassification, device: torch.device, precision: arithmetic.Precision
) -> OpenELMForSequenceClassification:
    """Make a float32 model fit to classify on `device`, in place.

    A large one computes in bfloat16 if `precision` is "auto" and the hardware can. On a CPU its weights are
    laid out for the processor: it can then be neither trained nor saved. On a GPU, in half precision, its
    forward pass is recorded: it can then be neither trained nor moved.
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
    """Logits (N, K), float32 on the CPU, of N token sequences, run in packed batches of at most
    `batch_tokens` (see `pass_tokens`)."""
    device = next(model.parameters()).device
    order: list[int] = []
    logits = [torch.empty(0, model.num_labels, device=device)]
    with torch.inference_mode():
        for rows in token_batches([len(s) for s in sequences], pass_tokens(device, batch_tokens)):
            batch = pack_onto(device, [sequences[row] for row in rows], compiled=is_prepacked(model))
            order += rows
            logits.append(model(**batch.inputs()).logits[: len(rows)].float())
    out = torch.empty(len(sequences), model.num_labels)
    out[order] = torch.cat(logits).cpu()  # waits for a GPU only here: it works while the next batch is packed
    return out
