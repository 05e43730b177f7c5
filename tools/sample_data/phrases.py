"""Makes sentences from lists of phrases, for the synthetic samples."""

import random
import re

Grammar = dict[str, str]
"""Name -> alternatives separated by `|`; `{name}` in one stands for an alternative of that name."""

_SLOT = re.compile(r"\{(\w+)\}")


def expand(name: str, grammar: Grammar, rng: random.Random) -> str:
    """An alternative of `name`, drawn uniformly, with its slots filled likewise."""
    choice = rng.choice(grammar[name].split("|"))
    return _SLOT.sub(lambda slot: expand(slot[1], grammar, rng), choice)
