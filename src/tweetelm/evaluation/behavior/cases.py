"""The parts of a behavioral test: a claim about a model, and cases with an expected label."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A test case.

    Attributes:
        text: the text to classify.
        group: the group of people that the text is about, if any.
        original: the unchanged text, if `text` must get the same label as it.
    """

    text: str
    group: str | None = None
    original: str | None = None


@dataclass(frozen=True, kw_only=True)
class Functionality:
    """Cases that test one ability.

    Attributes:
        name: a short name, unique in its suite.
        claim: what a good model does in these cases.
        expected: the expected label of every case; None for the label of its original.
        cases: at least one case.
    """

    name: str
    claim: str
    expected: str | None
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError(f"functionality {self.name!r} has no cases; expected at least one")
        if self.expected is None and any(case.original is None for case in self.cases):
            raise ValueError(
                f"functionality {self.name!r} has a case without original; expected one, or a label"
            )


@dataclass(frozen=True)
class Group:
    """Words for a group of people: plural `women`, singular `a woman`, hashtag `Women`."""

    name: str
    one: str
    tag: str


def about(templates: str, groups: Iterable[Group]) -> tuple[Case, ...]:
    """Cases from each template (one per line) for each group.

    Replaces `{them}` by the plural, `{Them}` by the capitalized plural, `{one}` by the singular and `{tag}`
    by the hashtag.
    """
    pairs = itertools.product(_lines(templates), groups)
    return tuple(Case(_fill(template, group), group.name) for template, group in pairs)


def plain(texts: str) -> tuple[Case, ...]:
    """One case per line."""
    return tuple(Case(text) for text in _lines(texts))


def spelled(cases: Iterable[Case], spell: Callable[[str], str]) -> tuple[Case, ...]:
    """The cases in another spelling."""
    return tuple(Case(spell(case.text), case.group) for case in cases)


def changed(texts: Iterable[str], change: Callable[[str], str]) -> tuple[Case, ...]:
    """Cases of changed texts with their originals; omits texts that `change` does not alter."""
    return tuple(Case(change(text), original=text) for text in texts if change(text) != text)


def _fill(template: str, group: Group) -> str:
    capital = group.name[0].upper() + group.name[1:]
    return template.format(them=group.name, Them=capital, one=group.one, tag=group.tag)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]
