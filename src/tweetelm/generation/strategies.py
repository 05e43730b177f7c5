"""Five ways to make a prompt from human tweets.

Showing human tweets varies topic and style; a fixed instruction alone makes a language model repeat itself.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tweetelm.data.duplicates import words

_SHOWN = 4  # tweets of the account in a prompt
_LEAST_WORDS = 5  # shorter tweets say too little to continue, paraphrase or answer
_TOPIC_LETTERS = 5  # words with fewer letters are rarely a topic

SYSTEM = (
    "You write tweets as people do on Twitter. Reply with the text of one tweet only: no quotation marks, no "
    "explanation, at most 280 characters."
)


@dataclass(frozen=True, kw_only=True)
class HumanTweets:
    """The human tweets of a training split.

    Attributes:
        texts: N normalized tweets.
        rows: their N row numbers in the training split.
        accounts: their N authors; empty strings if the data names none.
    """

    texts: Sequence[str]
    rows: Sequence[int]
    accounts: Sequence[str]

    def by_account(self) -> dict[str, list[int]]:
        """The positions of each account's tweets, of accounts with enough tweets for a prompt."""
        found: dict[str, list[int]] = {}
        for position, account in enumerate(self.accounts):
            found.setdefault(account, []).append(position)
        return {name: positions for name, positions in sorted(found.items()) if len(positions) >= _SHOWN}

    def long_enough(self) -> list[int]:
        """The positions of tweets with at least five words."""
        return [
            position for position, text in enumerate(self.texts) if len(words(text).split()) >= _LEAST_WORDS
        ]


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The part of a request that a strategy decides; `shown` are positions in `HumanTweets`."""

    user: str
    shown: tuple[int, ...]
    begin: str = ""


class Prompter:
    """Makes prompts from the tweets of a training split."""

    def __init__(self, tweets: HumanTweets) -> None:
        self.tweets, self._accounts, self._long = tweets, tweets.by_account(), tweets.long_enough()
        if not self._long:
            raise ValueError(
                f"the training split has no human tweet of {_LEAST_WORDS} words or more; prompts need some"
            )

    def continue_tweet(self, rng: random.Random) -> Prompt:
        """The first words of a tweet; the generator writes the rest."""
        position = rng.choice(self._long)
        parts = self.tweets.texts[position].split()
        begin = " ".join(parts[: rng.randint(2, max(2, min(4, len(parts) - 2)))])
        return Prompt(user=f"Write one tweet that begins with: {begin}", shown=(position,), begin=begin)

    def imitate(self, rng: random.Random) -> Prompt:
        """Four tweets of one account; the generator writes another one of it."""
        if not self._accounts:
            raise ValueError(
                f"the strategy imitate needs an account with at least {_SHOWN} tweets; expected --strategies "
                "without imitate, or --account COLUMN"
            )
        account = rng.choice(list(self._accounts))
        shown = tuple(rng.sample(self._accounts[account], _SHOWN))
        listing = "\n".join(f"- {self.tweets.texts[position]}" for position in shown)
        return Prompt(
            user=f"Tweets by one person:\n{listing}\nWrite a new tweet by the same person, on another topic.",
            shown=shown,
        )

    def paraphrase(self, rng: random.Random) -> Prompt:
        """A tweet to say in other words."""
        position = rng.choice(self._long)
        return Prompt(
            user=f"Say this in your own words, as a tweet:\n{self.tweets.texts[position]}", shown=(position,)
        )

    def answer(self, rng: random.Random) -> Prompt:
        """A tweet to reply to."""
        position = rng.choice(self._long)
        return Prompt(user=f"Reply to this tweet:\n{self.tweets.texts[position]}", shown=(position,))

    def topic(self, rng: random.Random) -> Prompt:
        """Two words of a tweet as the topic."""
        position = rng.choice(self._long)
        tokens = words(self.tweets.texts[position]).split()
        long = sorted({token for token in tokens if len(token) >= _TOPIC_LETTERS}) or sorted(set(tokens))
        chosen = rng.sample(long, min(2, len(long)))
        return Prompt(user=f"Write a tweet about: {', '.join(chosen)}", shown=(position,))


STRATEGIES: Mapping[str, Callable[[Prompter, random.Random], Prompt]] = {
    "continue": Prompter.continue_tweet,
    "imitate": Prompter.imitate,
    "paraphrase": Prompter.paraphrase,
    "answer": Prompter.answer,
    "topic": Prompter.topic,
}
