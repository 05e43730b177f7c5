"""Human tweets of three accounts, for prompts."""

from tweetelm.generation.strategies import HumanTweets

_WORDS = ["coffee", "train", "garden", "guitar", "winter", "library", "harbor", "puzzle", "race", "oven"]


def human_tweets(number: int = 60) -> HumanTweets:
    """So many tweets, each of other words; rows are odd numbers."""
    texts = [
        f"{_WORDS[i % 10]} number {i} was the best of {_WORDS[i // 10 % 10]} street{i % 9 * ' today'}"
        for i in range(number)
    ]
    return HumanTweets(
        texts=texts,
        rows=[2 * i + 1 for i in range(number)],
        accounts=[f"person_{i % 3}" for i in range(number)],
    )
