"""Compares two versions: settings that differ, and metrics."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from tweetelm.registry.card import Card

SECTIONS = ("config", "data", "base", "libraries", "git", "text", "max_tokens", "temperature", "threshold")
Row = tuple[str, ...]


def differences(a: Card, b: Card) -> list[Row]:
    """Rows (setting, value in a, value in b) of the settings that differ, in the card's order."""
    left, right = _settings(a), _settings(b)
    names = list(dict.fromkeys([*left, *right]))
    return [
        (name, _text(left.get(name)), _text(right.get(name)))
        for name in names
        if left.get(name) != right.get(name)
    ]


def measures(a: Card, b: Card) -> list[Row]:
    """Rows (measure, value in a, value in b, b - a) of all metrics of both cards, headline metric first."""
    left, right = (dict(_flattened(card.metrics)) for card in (a, b))
    names = [name for name in dict.fromkeys([*left, *right]) if _number(left, name) or _number(right, name)]
    headline = {f"{split}.{a.metric}": rank for rank, split in enumerate(("validation", "test"))}
    names.sort(key=lambda name: headline.get(name, len(headline)))
    return [_measure(name, left.get(name), right.get(name)) for name in names]


def _settings(card: Card) -> dict[str, Any]:
    values = dataclasses.asdict(card)
    return dict(_flattened({section: values[section] for section in SECTIONS}))


def _flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries with their dotted names; a list is one value."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _flattened(inner, f"{path}.{key}" if path else str(key))


def _number(values: dict[str, Any], name: str) -> bool:
    return isinstance(values.get(name), int | float) and not isinstance(values[name], bool)


def _measure(name: str, a: Any, b: Any) -> Row:
    both = all(isinstance(value, int | float) for value in (a, b))
    return name, _text(a), _text(b), f"{b - a:+.4g}" if both else ""


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None else str(value)
