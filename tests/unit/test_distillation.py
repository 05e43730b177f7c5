"""A published version teaches a smaller model: its answers, what is refused, the card and the report."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tweetelm import fine_tune, publish
from tweetelm.config.overrides import override
from tweetelm.config.train_config import TrainConfig, check_effects
from tweetelm.distillation import Answers, answers_folder, ask_teacher, find_teacher, keep_answers, teach
from tweetelm.predictor import Predictor
from tweetelm.registry import Card, resolve
from tweetelm.registry.model_card import render
from tweetelm.training.objectives import NO_LABEL
from tweetelm.training.prepare import prepare

SETTINGS = {"root": "sample", "epochs": 1, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The registry and the version of a small model."""
    folder = tmp_path_factory.mktemp("teacher")
    made = fine_tune("hate", folder=folder / "run", **SETTINGS)
    return str(folder / "models"), publish(made, registry=str(folder / "models")).version


def configuration(teacher: tuple[str, str], folder: Path, **more: object) -> TrainConfig:
    values = {
        "data.root": "sample",
        "model.name": "scratch-1m",
        "distill.teacher": teacher[1],
        "run.registry": teacher[0],
        "run.storage": str(folder / "runs"),
    }
    return override(TrainConfig(task="hate"), values | more)


def test_teacher_answers_with_its_probabilities(teacher: tuple[str, str], tmp_path: Path) -> None:
    config = configuration(teacher, tmp_path)
    prepared = prepare(config)
    assert len(prepared.questions) == len(prepared.train)
    found = teach(config, prepared)
    assert found.questions == ()
    assert found.train.teacher is not None
    predictor = Predictor.load(resolve("hate", registry=teacher[0], version=teacher[1]))
    expected = [each.probabilities for each in predictor.predict(prepared.questions)]
    assert np.allclose(np.exp(found.train.teacher), expected, atol=1e-5)
    assert found.teacher is not None
    assert found.teacher["version"] == teacher[1]


def test_unlabeled_tweets_are_answered_and_test_texts_left_out(
    teacher: tuple[str, str], tmp_path: Path
) -> None:
    from tweetelm.data import load

    test = load(TrainConfig(task="hate").task, "sample")["test"]["text"][0]
    (tmp_path / "more.txt").write_text(f"a new tweet about rain\n{test}\na new tweet about rain\n")
    config = configuration(teacher, tmp_path, **{"distill.text": (str(tmp_path / "more.txt"),)})
    prepared = prepare(config)
    assert prepared.questions[-1] == "a new tweet about rain"
    assert (prepared.train.labels == NO_LABEL).sum() == 1
    source = prepared.provenance.distilled
    assert source is not None
    assert source.left_out == {"empty": 0, "in validation or test": 1, "duplicates": 1}
    answers = teach(config, prepared).train.teacher
    assert answers is not None
    assert answers.shape == (len(prepared.train), 2)


def test_answers_are_asked_once_and_kept_in_fragments(
    teacher: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(teacher, tmp_path)
    monkeypatch.setattr("tweetelm.distillation.FRAGMENT", 2)
    asked: list[list[str]] = []

    def ask(texts: Sequence[str]) -> Answers:
        if "three" in texts and len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(list(texts))
        return ask_teacher(config, texts)

    texts = ["one", "two", "three"]
    with pytest.raises(KeyboardInterrupt):
        keep_answers(config, texts, ask)
    asked.append([])
    first, before = keep_answers(config, texts, ask)
    assert asked == [["one", "two"], [], ["three"]]  # the interruption lost no answer
    assert (before, first.shape) == (2, (3, 2))
    assert np.allclose(first, ask_teacher(config, texts), atol=1e-5)
    again, before = keep_answers(config, texts, ask)
    assert before == 3
    assert np.array_equal(first, again)
    file = next(Path(answers_folder(config)).iterdir())
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"is damaged .*delete it and run the command again"):
        keep_answers(config, texts, ask)


def test_unsuitable_teachers_are_refused(teacher: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="20200101-abcdef"):
        find_teacher(configuration(teacher, tmp_path, **{"distill.teacher": "20200101-abcdef"}))
    with pytest.raises(ValueError, match=r"distill\.teacher is '../x'; expected the name of a published"):
        configuration(teacher, tmp_path, **{"distill.teacher": "../x"})
    held_out = configuration(teacher, tmp_path, **{"data.hold_out": "account:1/2"})
    with pytest.raises(ValueError, match="was trained on all rows; expected a teacher with the same rows"):
        find_teacher(held_out)
    without = override(configuration(teacher, tmp_path), {"distill.teacher": None, "distill.weight": 0.5})
    with pytest.raises(ValueError, match=r"no effect without a teacher; set --distill\.teacher"):
        check_effects(without)


def test_teacher_is_part_of_the_identity_only_if_set(teacher: tuple[str, str], tmp_path: Path) -> None:
    with_teacher = configuration(teacher, tmp_path)
    assert with_teacher.identity["distill"]["teacher"] == teacher[1]
    assert "distill" not in override(with_teacher, {"distill.teacher": None}).identity


def test_student_names_its_teacher_and_is_compared_with_it(
    teacher: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").symlink_to(teacher[0])
    monkeypatch.chdir(tmp_path)
    made = fine_tune("hate", folder=tmp_path / "run", distill_teacher=teacher[1], **SETTINGS)
    assert made.card.base["teacher"]["version"] == teacher[1]
    assert Card.from_json(made.card.to_json()).base == made.card.base
    assert f"Distilled from version `{teacher[1]}`" in render(made.card)
    assert f"--distill.teacher {teacher[1]}" in render(made.card)
    report = json.loads((made.folder / "evaluation" / "report.json").read_text())
    assert f"Against {teacher[1]}" in [section["title"] for section in report["sections"]]
