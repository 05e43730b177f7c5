"""The endless sequence of requests that the settings define."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from tweetelm.files.hashing import sha256
from tweetelm.generation.request import Request
from tweetelm.generation.strategies import STRATEGIES, SYSTEM, HumanTweets, Prompter


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What the requests depend on, besides the human tweets.

    Attributes:
        strategies: names of `STRATEGIES`, taken in turn.
        temperatures: taken in turn; each strategy meets each of them.
        seed: of all random choices.
    """

    strategies: tuple[str, ...] = tuple(STRATEGIES)
    temperatures: tuple[float, ...] = (0.7, 0.9, 1.1)
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.strategies if name not in STRATEGIES]
        if unknown or not self.strategies:
            raise ValueError(
                f"--strategies has {unknown[0] if unknown else 'no value'}; expected some of "
                f"{', '.join(STRATEGIES)}"
            )
        if not self.temperatures or min(self.temperatures) <= 0:
            raise ValueError(f"--temperatures is {self.temperatures}; expected numbers above 0, such as 0.9")


def requests(settings: PlanSettings, tweets: HumanTweets) -> Iterator[Request]:
    """Yield the requests in their order, without end.

    A request depends on the settings, the tweets and its number only.
    """
    prompter = Prompter(tweets)
    for number in count():
        yield _request(settings, tweets, prompter, number)


def _request(settings: PlanSettings, tweets: HumanTweets, prompter: Prompter, number: int) -> Request:
    strategy = settings.strategies[number % len(settings.strategies)]
    turn = number // len(settings.strategies)
    rng = random.Random(f"{settings.seed} {number}")
    prompt = STRATEGIES[strategy](prompter, rng)
    accounts = {tweets.accounts[position] for position in prompt.shown}
    temperature = settings.temperatures[turn % len(settings.temperatures)]
    seed = rng.getrandbits(31)
    content = f"{number}\n{strategy}\n{temperature}\n{seed}\n{SYSTEM}\n{prompt.user}\n{prompt.begin}"
    return Request(
        id=sha256(content.encode())[:16],
        strategy=strategy,
        temperature=temperature,
        seed=seed,
        system=SYSTEM,
        user=prompt.user,
        begin=prompt.begin,
        imitated=accounts.pop() if len(accounts) == 1 else "",
        sources=tuple(tweets.rows[position] for position in prompt.shown),
    )
