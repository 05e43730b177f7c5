"""The teacher of a run: a published version that answers the training tweets once, before training."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tweetelm.config.train_config import TrainConfig
from tweetelm.files import object_storage
from tweetelm.predictor import Predictor
from tweetelm.registry import Card, read_card, resolve
from tweetelm.training.prepare import Prepared

Answers = NDArray[np.float32]
"""Log-probabilities of N tweets, (N, K) for K labels."""
Ask = Callable[[Sequence[str]], Answers]
Watch = Callable[[int], None]

FRAGMENT = 8192  # tweets of a file of kept answers
_AT_ONCE = 1024  # tweets between two calls of the watcher
_LEAST = 1e-30  # bound of the probabilities, so that no log-probability is infinite


def teach(config: TrainConfig, prepared: Prepared, ask: Ask | None = None) -> Prepared:
    """A prepared run with the answers of `distill.teacher`; without a teacher, unchanged.

    Args:
        config: the run.
        prepared: from `prepare`.
        ask: answers the texts; by default, the teacher does in this process.

    Raises:
        FileNotFoundError: there is no such version.
        ValueError: the teacher does not suit the run, or is damaged.
    """
    card = find_teacher(config)
    if card is None:
        return prepared
    answers = (ask or (lambda texts: ask_teacher(config, texts)))(prepared.questions)
    return dataclasses.replace(
        prepared,
        train=dataclasses.replace(prepared.train, teacher=answers),
        questions=(),
        teacher={"version": card.version, "content": card.content},
    )


def find_teacher(config: TrainConfig) -> Card | None:
    """The card of the teacher; None without one.

    Raises:
        FileNotFoundError: there is no such version in `run.registry`.
        ValueError: it has other labels, or was trained on rows that this run holds out.
    """
    if config.distill.teacher is None:
        return None
    name = config.task.name
    card = read_card(name, registry=config.run.registry_folder, version=config.distill.teacher)
    if card.labels != config.task.labels:
        raise ValueError(
            f"teacher {card.version} has the labels {', '.join(card.labels)}; expected those of {name}, "
            f"{', '.join(config.task.labels)}: choose a version that was trained on the same labels"
        )
    rule, held_out = config.data.hold_out, card.config.get("data", {}).get("hold_out")
    if rule is not None and rule != held_out:
        raise ValueError(
            f"--data.hold-out is {rule}, but teacher {card.version} was trained "
            f"{f'with {held_out} held out' if held_out else 'on all rows'}; expected a teacher with the same "
            "rows held out"
        )
    return card


def ask_teacher(config: TrainConfig, texts: Sequence[str], watch: Watch | None = None) -> Answers:
    """The teacher's answers, computed in this process. `watch` is called with the number of answers so far.

    Raises:
        ValueError: a file of the teacher is damaged.
    """
    teacher = config.distill.teacher
    folder = resolve(config.task.name, registry=config.run.registry_folder, version=teacher)
    predictor = Predictor.load(folder)
    found: list[Answers] = []
    for start in range(0, len(texts), _AT_ONCE):
        some = predictor.predict(texts[start : start + _AT_ONCE])
        found.append(np.asarray([each.probabilities for each in some], dtype=np.float64))
        if watch:
            watch(start + len(some))
    return np.log(np.clip(np.concatenate(found), _LEAST, None)).astype(np.float32)


def keep_answers(config: TrainConfig, texts: Sequence[str], ask: Ask) -> tuple[Answers, int]:
    """The teacher's answers, of which `run.storage` keeps those that are there and those that are asked now.

    They are kept in fragments, so that an interruption loses one at most. Runs with the same teacher and
    texts share them.

    Returns:
        The answers, and how many of them were there before.

    Raises:
        ValueError: a file is damaged.
    """
    found, before = list[Answers](), 0
    for start in range(0, len(texts), FRAGMENT):
        some = texts[start : start + FRAGMENT]
        place = _place(config, some)
        stored = object_storage.read(place)
        if stored is None:
            found.append(ask(some))
            file = io.BytesIO()
            np.save(file, found[-1], allow_pickle=False)
            object_storage.write(place, file.getvalue())
        else:
            found.append(_parsed(stored, place, (len(some), len(config.task.labels))))
            before += len(some)
    return np.concatenate(found), before


def answers_folder(config: TrainConfig) -> str:
    """Folder or URL of kept answers."""
    return f"{config.run.storage_folder}/teachers"


def _place(config: TrainConfig, texts: Sequence[str]) -> str:
    teacher = config.distill.teacher
    key = hashlib.sha256(json.dumps([teacher, *texts]).encode()).hexdigest()
    return f"{answers_folder(config)}/{config.task.name}-{teacher}-{key[:12]}.npy"


def _parsed(stored: bytes, place: str, shape: tuple[int, int]) -> Answers:
    remedy = "delete it and run the command again: the teacher answers again"
    try:
        found = np.load(io.BytesIO(stored), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{place} is damaged ({error}); {remedy}") from error
    if found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
        raise ValueError(f"{place} is damaged: expected {shape} finite numbers; {remedy}")
    return np.asarray(found, dtype=np.float32)
