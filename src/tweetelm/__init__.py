"""OpenELM tweet classifiers: data, training, evaluation, prediction, and a registry of models.

The names in `__all__` are imported on first use (PEP 562), so that `import tweetelm` is fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tweetelm.version import __version__

if TYPE_CHECKING:
    from tweetelm.api.evaluate import compare, evaluate
    from tweetelm.api.fine_tune import fine_tune, publish
    from tweetelm.api.load import load
    from tweetelm.predictor import Predictor
    from tweetelm.registry import resolve
    from tweetelm.tasks import Task

__all__ = [
    "Predictor",
    "Task",
    "__version__",
    "compare",
    "evaluate",
    "fine_tune",
    "load",
    "publish",
    "resolve",
]
_MODULES = {
    "Predictor": "tweetelm.predictor",
    "Task": "tweetelm.tasks",
    "compare": "tweetelm.api.evaluate",
    "evaluate": "tweetelm.api.evaluate",
    "fine_tune": "tweetelm.api.fine_tune",
    "load": "tweetelm.api.load",
    "publish": "tweetelm.api.fine_tune",
    "resolve": "tweetelm.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tweetelm' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
