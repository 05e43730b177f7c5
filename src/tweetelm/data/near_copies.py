"""Finds near-copies of tweets: the same words, or word sequences of which most are shared."""

from collections.abc import Iterable, Sequence

from datasketch import MinHash, MinHashLSH

from tweetelm.data.duplicates import near_duplicate_key

SIMILAR = 0.6  # Jaccard similarity of word pairs, as MinHash estimates it
RUN = 8  # words in a row that no two people write independently
_HASHES = 64


class NearCopies:
    """A set of tweets that answers whether a tweet is nearly in it.

    Two tweets are near-copies if they have the same words, if they share eight words in a row, or if the
    estimated Jaccard similarity of their word pairs is at least 0.6 (MinHash, Broder 1997).
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._keys: set[str] = set()
        self._runs: set[str] = set()
        self._similar = MinHashLSH(threshold=SIMILAR, num_perm=_HASHES)
        self._size = 0
        self.add(texts)

    def add(self, texts: Iterable[str]) -> None:
        """Add tweets."""
        texts = list(texts)
        for text, sketch in zip(texts, _sketches(texts), strict=True):
            self._keys.add(near_duplicate_key(text))
            self._runs |= _sequences(_words(text), RUN)
            self._similar.insert(self._size, sketch, check_duplication=False)
            self._size += 1

    def __contains__(self, text: str) -> bool:
        tokens = _words(text)
        if near_duplicate_key(text) in self._keys or not self._runs.isdisjoint(_sequences(tokens, RUN)):
            return True
        return bool(self._similar.query(_sketches([text])[0]))


def _words(text: str) -> list[str]:
    return near_duplicate_key(text).split()


def _sequences(tokens: Sequence[str], length: int) -> set[str]:
    return {" ".join(tokens[at : at + length]) for at in range(len(tokens) - length + 1)}


def _sketches(texts: Sequence[str]) -> list[MinHash]:
    pairs = [_sequences(tokens, 2) or set(tokens) for tokens in map(_words, texts)]
    encoded = [[pair.encode() for pair in sorted(each)] for each in pairs]
    found: list[MinHash] = MinHash.bulk(encoded, num_perm=_HASHES, seed=1)
    return found
