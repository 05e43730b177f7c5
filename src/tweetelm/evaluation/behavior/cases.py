"""What a behavioral test is made of: a claim about a model, and cases that it must get right."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A text, the group that it is about, and, where a change must not matter, what it was changed from."""

    text: str
    group: str | None = None
    original: str | None = None


@dataclass(frozen=True, kw_only=True)
class Functionality:
    """One ability or weakness.

    Attributes:
        name: a few words, unique in its suite.
        claim: what a good model does with the cases.
        expected: the label that every case must get; None: the label of its original.
    """

    name: str
    claim: str
    expected: str | None
    cases: tuple[Case, ...]

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError(f"functionality {self.name!r} has no cases")
        if self.expected is None and any(case.original is None for case in self.cases):
            raise ValueError(
                f"functionality {self.name!r} expects the original's label; a case has no original"
            )


@dataclass(frozen=True)
class Group:
    """Words for a group of people: `women`, `a woman`, and the hashtag's `Women`."""

    name: str
    one: str
    tag: str


def about(templates: str, groups: Iterable[Group]) -> tuple[Case, ...]:
    """Each template (one per line) said of each group.

    `{them}` becomes its plural, `{Them}` the same with a capital, `{one}` a member, `{tag}` its word in a
    hashtag.
    """
    pairs = itertools.product(_lines(templates), groups)
    return tuple(Case(_fill(template, group), group.name) for template, group in pairs)


def plain(texts: str) -> tuple[Case, ...]:
    """One case per line."""
    return tuple(Case(text) for text in _lines(texts))


def spelled(cases: Iterable[Case], spell: Callable[[str], str]) -> tuple[Case, ...]:
    """The same cases in another spelling."""
    return tuple(Case(spell(case.text), case.group) for case in cases)


def changed(texts: Iterable[str], change: Callable[[str], str]) -> tuple[Case, ...]:
    """Cases of texts that `change` alters, with the text as it was; the others are left out."""
    return tuple(Case(change(text), original=text) for text in texts if change(text) != text)


def _fill(template: str, group: Group) -> str:
    capital = group.name[0].upper() + group.name[1:]
    return template.format(them=group.name, Them=capital, one=group.one, tag=group.tag)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]
