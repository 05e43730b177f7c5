"""Behavioral tests: the predictions of a model on cases that each test one ability.

The method is that of CheckList (Ribeiro et al., 2020) and HateCheck (Röttger et al., 2021), with cases of
this project. A good score on a dataset does not imply good results in these tests.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tweetelm.evaluation.behavior.cases import Functionality
from tweetelm.evaluation.behavior.deepfake import deepfake_suite
from tweetelm.evaluation.behavior.hate import hate_suite
from tweetelm.evaluation.evaluate import Classifier
from tweetelm.evaluation.intervals import wilson
from tweetelm.evaluation.report.document import Cell, Section, Table
from tweetelm.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a functionality: which cases a model classified correctly, in order."""

    functionality: Functionality
    passed: tuple[bool, ...]


def suite(task: Task, tweets: Sequence[str] = ()) -> tuple[Functionality, ...]:
    """The functionalities of a task's suite; those of `deepfake` change `tweets` or built-in sentences."""
    return hate_suite() if task.suite == "hate" else deepfake_suite(tweets)


def run(classifier: Classifier, tweets: Sequence[str] = ()) -> list[Outcome]:
    """Classify all cases of the task's suite, each distinct text once."""
    functionalities = suite(classifier.task, tweets)
    cases = [case for functionality in functionalities for case in functionality.cases]
    texts = list(
        dict.fromkeys(text for case in cases for text in (case.text, case.original) if text is not None)
    )
    labels = dict(zip(texts, (p.label for p in classifier.predict(texts)), strict=True))
    return [Outcome(functionality=f, passed=_judge(f, labels)) for f in functionalities]


def behavior(classifier: Classifier, tweets: Sequence[str] = ()) -> Section:
    """A section of the report: pass rates by functionality and by group of people.

    Args:
        classifier: a model. For a model of the synthetic sample, show its notice with the section.
        tweets: for `deepfake`, texts to change, such as the test split; they are not stored.
    """
    task, outcomes = classifier.task, run(classifier, tweets)
    passed, cases = sum(sum(o.passed) for o in outcomes), sum(len(o.passed) for o in outcomes)
    total = f"{len(outcomes)} functionalities, {cases:,} cases, {passed:,} passed ({passed / cases:.1%})."
    tables = [_by_functionality(outcomes)]
    if any(case.group for outcome in outcomes for case in outcome.functionality.cases):
        tables.append(_by_group(outcomes, task))
    return Section(title="Behavior", text=(_explain(task, tweets), total), tables=tuple(tables))


def _judge(functionality: Functionality, labels: dict[str, str]) -> tuple[bool, ...]:
    return tuple(
        labels[case.text] == (functionality.expected or labels[str(case.original)])
        for case in functionality.cases
    )


def _explain(task: Task, tweets: Sequence[str]) -> str:
    if task.name == "hate":
        return (
            "Short invented texts; each functionality tests one ability. The training data are about women "
            "and immigrants only, so low pass rates are expected for other groups. A model that always "
            "predicts hate passes all hateful cases and fails all others. The language is mild."
        )
    source = f"{len(tweets):,} tweets" if tweets else "Invented sentences"
    return f"{source}, each with a change unrelated to its author: the prediction should not change."


def _by_functionality(outcomes: Sequence[Outcome]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for outcome in outcomes:
        f = outcome.functionality
        rate = wilson(sum(outcome.passed), len(outcome.passed))
        rows.append((f.name, f.claim, f.expected or "unchanged", len(outcome.passed), rate))
    return Table(
        columns=("functionality", "claim", "expected", "cases", "pass rate"),
        rows=tuple(rows),
        caption="Pass rate: share of cases with the expected label, with its 95 % interval (Wilson).",
    )


def _by_group(outcomes: Sequence[Outcome], task: Task) -> Table:
    """Pass rates by group and expected label."""
    passed: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        for case, right in zip(outcome.functionality.cases, outcome.passed, strict=True):
            if case.group and outcome.functionality.expected:
                key = (case.group, outcome.functionality.expected)
                seen[key] += 1
                passed[key] += right
    groups = dict.fromkeys(group for group, _ in seen)
    rows = [(group, *(_rate(passed[group, x], seen[group, x]) for x in task.labels)) for group in groups]
    return Table(
        columns=("group", *(f"pass rate where {label} is right" for label in task.labels)),
        rows=tuple(rows),
        caption="The same cases by the group that they are about.",
    )


def _rate(passed: int, seen: int) -> Cell:
    return wilson(passed, seen)
