"""Inference: loads a checkpoint or published version and classifies texts. All callers use this module."""

import dataclasses
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import torch
from torch import Tensor

from tweetelm import precision as arithmetic
from tweetelm.config.text_config import TextConfig
from tweetelm.encoding import Encoded, Encoder
from tweetelm.forward import classify_packed, ready
from tweetelm.openelm import OpenELMConfig, OpenELMForSequenceClassification
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.openelm.cpu.fused import fused_precision, why_not_fused
from tweetelm.openelm.flops import cost
from tweetelm.prediction.explanation import (
    WORDS,
    Explanation,
    explanation,
    label_index,
    without_word,
    word_spans,
)
from tweetelm.prediction.frames import check_new, texts_of, with_predictions
from tweetelm.prediction.predictions import SHOWN, Prediction, Predictions
from tweetelm.prediction.texts import as_texts
from tweetelm.self_check import Answer, Classify, disagreement, reference, typical_tweets
from tweetelm.tasks import Task

__all__ = ["Prediction", "Predictor", "classify_packed", "ready"]

CARD_FILE = "card.json"
_logger = logging.getLogger(__name__)
_SHOWN_AT_ONCE = 1024  # texts per update of a progress bar
T = TypeVar("T")


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
        cls, path: str | Path, *, device: str = "auto", precision: arithmetic.InferencePrecision = "auto"
    ) -> "Predictor":
        """Load a classifier from a folder.

        Args:
            path: a training checkpoint or a published version.
            device: "cpu", "cuda", or "auto" for the GPU if there is one.
            precision: "float32", "bf16", "int8" on a CPU, or "auto" for bfloat16 if the model is large and
                the hardware supports it. If int8 is unavailable, or its answers differ (see
                `tweetelm.self_check`), logs a warning and uses "auto".

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged or does not match the others.
        """
        folder, target = Path(path), arithmetic.pick_device(device)
        encoder, task = Encoder.load(folder)
        model = load_weights(OpenELMForSequenceClassification, folder)
        _check_fit(folder, model.config, encoder, task)
        reason = why_not_fused(model.config, target, "int8") if precision == "int8" else ""
        int8 = precision == "int8" and not reason
        typical = [item.ids for item in encoder.encode(typical_tweets())] if int8 else []
        model = ready(model, target, "auto" if reason else precision, typical)
        loaded = cls(model=model, encoder=encoder, task=task, card=_read_card(folder / CARD_FILE))
        if precision != "int8":
            return loaded
        reason = reason or _int8_disagreement(loaded, folder)
        if not reason:
            return loaded
        if loaded.precision == "int8":
            loaded = cls.load(folder, device=device)
        _logger.warning("%s: computing in %s instead of int8: %s", folder, loaded.precision, reason)
        return loaded

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
    def precision(self) -> Literal["int8", "bf16", "float32"]:
        """The precision of the backbone."""
        weights = self.model.transformer.token_embeddings.weight
        plain: Literal["bf16", "float32"] = "bf16" if weights.dtype == torch.bfloat16 else "float32"
        return fused_precision(self.model) or plain

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

    def __repr__(self) -> str:
        labels = ", ".join(self.labels[:SHOWN]) + ", …" * (len(self.labels) > SHOWN)
        version = f", version {self.version}" if self.version else ""
        size = f"{cost(self.model.config).parameters:,} parameters"
        return f"Predictor({self.task.name}: {labels}{version}, {size}, {self.precision} on {self.device})"

    @overload
    def predict(self, texts: str, *, progress: bool = False) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is iterable

    @overload
    def predict(self, texts: Iterable[str], *, progress: bool = False) -> Predictions: ...

    def predict(self, texts: str | Iterable[str], *, progress: bool = False) -> Prediction | Predictions:
        """Classify one text, or several: a list, an array, or a column of a table. Keeps the order.

        Args:
            texts: a text, or several.
            progress: show a progress bar on standard error.

        Raises:
            ValueError: an item is not a text; the message gives its position.
        """
        if isinstance(texts, str):
            return self.classify(self.encode([texts]))[0]
        return self._predict_all(as_texts(texts), progress)

    def predict_frame(self, frame: T, text: str = "text", *, prefix: str = "", progress: bool = False) -> T:
        """A new table: all columns of `frame`, then `label`, `prob_<label>` for each label, and `truncated`.

        Rows, their order and the index are kept.

        Args:
            frame: a pandas or polars DataFrame, a pyarrow Table, or a Dataset.
            text: the column with the texts.
            prefix: put before the names of the new columns.
            progress: show a progress bar on standard error.

        Raises:
            ValueError: the column does not exist, a row of it is not a text, or a new column has the name of
                an existing one.
        """
        texts = texts_of(frame, text)
        check_new(frame, self.labels, prefix)
        added: T = with_predictions(frame, self._predict_all(texts, progress), self.labels, prefix)
        return added

    def explain(self, text: str, label: str | None = None, *, words: int = WORDS) -> Explanation:
        """Measure what each word contributes to the log-odds of each label, by leaving it out.

        Args:
            text: the text.
            label: the label to show; by default, the predicted one.
            words: maximum number of words; each needs a forward pass.

        Raises:
            ValueError: there is no such label.
        """
        if label is not None:
            label_index(self.labels, label)
        spans = word_spans(text)
        shorter = [without_word(text, spans, index) for index in range(min(len(spans), words))]
        whole, *without = self.predict([text, *shorter])
        return explanation(text, whole, without, self.labels, label)

    def _predict_all(self, texts: Sequence[str], progress: bool) -> Predictions:
        if not progress:
            return self.classify(self.encode(texts))
        from tqdm import tqdm  # not for the endpoint

        found = Predictions()
        with tqdm(total=len(texts), unit=" texts") as bar:
            for start in range(0, len(texts), _SHOWN_AT_ONCE):
                some = self.classify(self.encode(texts[start : start + _SHOWN_AT_ONCE]))
                found += some
                bar.update(len(some))
        return found

    def classify(self, encoded: Sequence[Encoded], owners: Sequence[str | None] | None = None) -> Predictions:
        """Classify encoded texts; keeps the order.

        Args:
            encoded: the texts.
            owners: of each text (see `prefix_trees`); None: all texts have one owner.
        """
        if not encoded:
            return Predictions()
        probabilities = (self.logits(encoded, owners) / self.temperature).softmax(-1).tolist()
        return Predictions(
            Prediction(self._label(row), tuple(row), len(item.ids), item.truncated)
            for row, item in zip(probabilities, encoded, strict=True)
        )

    def logits(self, encoded: Sequence[Encoded], owners: Sequence[str | None] | None = None) -> Tensor:
        """Logits (N, K) of N encoded texts, float32 on the CPU, in the given order, before temperature."""
        sequences = [item.ids for item in encoded]
        return classify_packed(self.model, sequences, self.batch_tokens, follow_load=True, owners=owners)

    def _label(self, probabilities: Sequence[float]) -> str:
        if self.threshold is not None:
            return self.labels[-1] if probabilities[-1] >= self.threshold else self.labels[0]
        return self.labels[max(range(len(probabilities)), key=lambda i: probabilities[i])]


def _answers(predictor: Predictor) -> Classify:
    def classify(texts: Sequence[str]) -> list[Answer]:
        return [(found.label, found.probabilities) for found in predictor.predict(texts)]

    return classify


def _int8_disagreement(int8: Predictor, folder: Path) -> str:
    """Why an int8 model must not be used; "" if its answers agree with the reference."""

    def exact() -> Classify:
        return _answers(Predictor.load(folder, device="cpu", precision="float32"))

    expected = reference(folder, int8.task, int8.card, exact)
    return disagreement(_answers(int8), expected)


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
