"""Expansion of phrase grammars into sentences, for the synthetic sample."""

import random
import re

Grammar = dict[str, str]
"""Alternatives by name, separated by `|`; `{name}` is replaced by an alternative of that name."""

_SLOT = re.compile(r"\{(\w+)\}")


def expand(name: str, grammar: Grammar, rng: random.Random) -> str:
    """A uniformly drawn alternative of `name`, with its slots expanded recursively."""
    choice = rng.choice(grammar[name].split("|"))
    return _SLOT.sub(lambda slot: expand(slot[1], grammar, rng), choice)
