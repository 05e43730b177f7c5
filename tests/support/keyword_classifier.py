"""A classifier with a simple rule: a text is positive if it contains one of the keywords."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.fakes import FakePrediction
from tweetelm.config.text_config import TextConfig
from tweetelm.tasks import Task
from tweetelm.text.normalize import normalize

OFF = TextConfig()


@dataclass(frozen=True)
class KeywordClassifier:
    """Matches whole words of the normalized text: the keyword `hat` does not match `hate`."""

    task: Task
    words: tuple[str, ...] = ()
    text: TextConfig = OFF
    version: str = "v1"
    threshold: float | None = None

    def with_text(self, text: TextConfig) -> "KeywordClassifier":
        return dataclasses.replace(self, text=text)

    def predict(self, texts: Sequence[str]) -> list[FakePrediction]:
        return [self._predict(normalize(text, self.text)) for text in texts]

    def _predict(self, text: str) -> FakePrediction:
        found = bool(set(re.findall(r"[^\W\d_]+", text.lower())) & set(self.words))
        return FakePrediction(self.task.labels[found], (1.0 - found, float(found)), 1, False)
