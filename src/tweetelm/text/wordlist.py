"""A list of everyday English words, used to recognize disguised words."""

from pathlib import Path

EVERYDAY = frozenset(Path(__file__).with_suffix(".txt").read_text(encoding="ascii").split())
_ENDINGS = ("s", "es", "ed", "d", "er", "ers", "r", "ing", "in", "ly", "y")


def is_everyday(word: str, known: frozenset[str] = EVERYDAY) -> bool:
    """Whether a lowercase word or its stem is known: `refugees`, `making`, `running`, `ladies`."""
    return word in known or any(
        stem in known
        for ending in _ENDINGS
        if word.endswith(ending)
        for stem in _stems(word.removesuffix(ending), ending)
    )


def _stems(rest: str, ending: str) -> list[str]:
    """Possible stems of a word without its ending: the rest, the rest with an e, with y for i, or with a
    doubled last letter reduced."""
    if len(rest) < 3 or (ending in ("d", "r") and not rest.endswith("e")):
        return []
    stems = [rest] if ending == "s" else [rest, rest + "e"]
    if rest.endswith("i"):
        stems.append(rest[:-1] + "y")
    if rest[-1] == rest[-2] and ending != "s":
        stems.append(rest[:-1])
    return stems
