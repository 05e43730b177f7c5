"""Prefix trees hold each tweet once, each common prefix once, and give the logits of separate tweets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.openelm.test_fused import classifier
from tweetelm.forward import classify_packed
from tweetelm.openelm.cpu.fused import fuse
from tweetelm.openelm.cpu.prefix_tree import PrefixTree, prefix_trees
from tweetelm.openelm.cpu.products import Precision
from tweetelm.openelm.packing import few_sizes, pack

ALIKE = [[1, 5, 9, 4], [1, 7], [1, 5, 9, 8, 30], [1, 5, 9, 4], [1], [1, 5], [1, 7, 2, 2, 6], [3, 5, 9, 4]]
tweets = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=9), min_size=1, max_size=12)


def read(tree: PrefixTree, end: int) -> list[int]:
    """The token ids from the first one to the row `end`."""
    found: list[int] = []
    while end >= 0:
        assert int(tree.positions[end]) + 1 + len(found) <= len(tree.ids)
        found.insert(0, int(tree.ids[end]))
        end = int(tree.parents[end])
    return found


@settings(deadline=None)
@given(tweets=tweets, most=st.integers(1, 20))
def test_trees_hold_every_tweet_once_and_every_prefix_once(tweets: list[list[int]], most: int) -> None:
    seen: list[int] = []
    for tree in prefix_trees(tweets, most):
        seen += tree.tweets
        ends = tree.ends.tolist()
        for tweet, end in zip(tree.tweets, ends, strict=False):
            assert read(tree, end) == tweets[tweet]
            assert int(tree.positions[end]) == len(tweets[tweet]) - 1
        prefixes = {tuple(tweets[tweet][:k]) for tweet in tree.tweets for k in range(1, 10)}
        assert len(tree.ids) == few_sizes(len(prefixes))
        assert len(prefixes) <= most or len(set(map(tuple, (tweets[t] for t in tree.tweets)))) == 1
        assert len(ends) == few_sizes(len(tree.tweets))
    assert sorted(seen) == list(range(len(tweets)))


def test_tweets_of_several_owners_share_their_first_token_only() -> None:
    """A pass over the text that another client has just asked must not be shorter than over any other."""
    text = [1, 5, 9, 4]
    for owners, rows in (
        (["a", "a", "a"], 4),
        (["a", "b", "a"], 7),
        (["a", "b", "c"], 10),
        ([None, None, None], 10),
        (["a", None, "a"], 7),
    ):
        (tree,) = prefix_trees([text] * 3, 100, int, owners)
        assert len(tree.ids) == rows, owners
        assert [read(tree, end) for end in tree.ends.tolist()] == [text] * 3


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bf16", 2e-2), ("int8", 5e-2)])
def test_tweets_that_start_alike_keep_their_logits(precision: Precision, tolerance: float) -> None:
    model = classifier()
    with torch.inference_mode():
        expected = model(**pack(ALIKE).inputs()).logits
    fuse(model, precision)
    found = classify_packed(model, ALIKE)
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_other_poolings_are_packed_without_trees() -> None:
    """The mean over a tweet's tokens needs the last layer's states of all of them."""
    model = classifier(classifier_pooling="mean")
    expected = classify_packed(model, ALIKE)
    fuse(model, "float32")
    assert (classify_packed(model, ALIKE) - expected).abs().max() <= 1e-5


def test_a_tweet_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="has no tokens"):
        list(prefix_trees([[1, 2], []], 10))


def test_plain_layers_refuse_a_tree() -> None:
    """Their attention would not follow the parents."""
    (tree,) = prefix_trees(ALIKE, 100)
    with pytest.raises(ValueError, match="need fused layers"):
        classifier()(**tree.inputs())
