"""A version's config.json with its temperature, by which plain transformers, which reads no card, divides."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEY = "classifier_temperature"


@contextmanager
def calibrated_config(config: Path, temperature: float) -> Iterator[Path]:
    """The file itself where there is no temperature, else a copy that has it, for as long as this lasts."""
    if temperature == 1 or not config.is_file():
        yield config
        return
    values = json.loads(config.read_text(encoding="utf-8")) | {KEY: temperature}
    with tempfile.TemporaryDirectory(prefix="tweetelm-config-") as folder:
        copy = Path(folder) / config.name
        copy.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        yield copy
