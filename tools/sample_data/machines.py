"""The text generators of the synthetic deepfake sample: a word Markov chain and a character GRU."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tweetelm.text.normalize import normalize

END = "\n"
LONGEST = 140
_WORD = re.compile(r"[\w']+")


class MarkovChain:
    """A first-order Markov chain over words, fit on the given texts.

    Words are in lower case and without punctuation, as in the output of simple bots.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.next: dict[str, list[str]] = defaultdict(list)
        for text in texts:
            words = [END, *_WORD.findall(text.lower()), END]
            for word, following in pairwise(words):
                self.next[word].append(following)

    def write(self, rng: random.Random) -> str:
        """Generate a text of at most 5 to 14 words."""
        words: list[str] = []
        word = rng.choice(self.next[END])
        for _ in range(rng.randint(5, 14)):
            if word == END:
                break
            words.append(word)
            word = rng.choice(self.next[word])
        return " ".join(words)


class CharacterModel(nn.Module):
    """A one-layer GRU over characters. Shapes: N texts, T characters, V alphabet size, H hidden width."""

    def __init__(self, alphabet: str, width: int = 128) -> None:
        super().__init__()
        self.alphabet = alphabet
        self.embedding = nn.Embedding(len(alphabet), 32)
        self.gru = nn.GRU(32, width, batch_first=True)
        self.out = nn.Linear(width, len(alphabet))

    def forward(self, ids: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map ids (N, T) to the logits (N, T, V) of the next characters and the state (1, N, H)."""
        hidden, state = self.gru(self.embedding(ids), state)
        return self.out(hidden), state

    @torch.no_grad()
    def write(self, generator: torch.Generator, temperature: float = 1.0) -> str:
        """Sample a text of at most LONGEST characters."""
        ids, state = torch.tensor([[self.alphabet.index(END)]]), None
        text = ""
        while len(text) < LONGEST:
            logits, state = self(ids, state)
            ids = torch.multinomial(torch.softmax(logits[0, -1:] / temperature, -1), 1, generator=generator)
            if self.alphabet[int(ids)] == END:
                break
            text += self.alphabet[int(ids)]
        return text


def train_character_model(texts: Sequence[str], *, seed: int, epochs: int = 12) -> CharacterModel:
    """Train a new model on the texts; it takes under a minute on one core."""
    torch.manual_seed(seed)
    model = CharacterModel("".join(sorted({END, *"".join(texts)})))
    rows = [torch.tensor([model.alphabet.index(c) for c in END + text + END]) for text in texts]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        order = torch.randperm(len(rows)).tolist()
        for start in range(0, len(rows), 16):
            batch = nn.utils.rnn.pad_sequence(
                [rows[i] for i in order[start : start + 16]], batch_first=True, padding_value=-100
            )
            logits, _ = model(batch[:, :-1].clamp(min=0))
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return model.eval()


def distinct(write: Callable[[], str], count: int, known: Sequence[str]) -> list[str]:
    """`count` distinct texts of at least three words, none of them in `known`."""
    taken = {normalize(text) for text in known}
    texts: dict[str, str] = {}
    while len(texts) < count:
        text = write().strip()
        if len(text.split()) >= 3 and normalize(text) not in taken:
            texts.setdefault(normalize(text), text)
    return list(texts.values())
