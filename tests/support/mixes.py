"""Bases, parts and recipes of mixed datasets for tests: made-up tweets of random words."""

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tweetelm.data import part
from tweetelm.data.part import Kind

HEADER = part.COLUMNS
_LETTERS = ("b", "d", "f", "k", "l", "m", "n", "p", "r", "s", "t", "v"), ("a", "e", "i", "o", "u")
Rows = list[dict[str, str]]


def words(rng: random.Random, count: int) -> str:
    """Random words, so that no two tweets are near-copies."""
    return " ".join(
        "".join(rng.choice(_LETTERS[position % 2]) for position in range(rng.choice((4, 6))))
        for _ in range(count)
    )


def tweet(rng: random.Random, links: float = 0.3) -> str:
    """A tweet of 6 to 14 random words, with a link, a mention and a period at times."""
    parts = [words(rng, rng.randint(6, 14))]
    parts += ["https://t.co/" + words(rng, 1)] if rng.random() < links else []
    parts += ["@" + words(rng, 1)] if rng.random() < 0.2 else []
    return " ".join(parts) + ("." if rng.random() < 0.3 else "")


def human_rows(count: int, seed: int, accounts: int = 5) -> Rows:
    rng = random.Random(f"human {seed}")
    return [row(f"ann{number % accounts}", tweet(rng), "human", "human") for number in range(count)]


def bot_rows(count: int, seed: int) -> Rows:
    rng = random.Random(f"bot {seed}")
    return [row(f"bot{number % 3}", tweet(rng), "bot", "rnn") for number in range(count)]


def generated_rows(count: int, seed: int = 0, links: float = 0.3, persons: int = 20) -> Rows:
    """Rows as `generate` writes them: two of each prompt, four prompts of each person."""
    rng = random.Random(f"generated {seed}")
    rows = []
    for number in range(count):
        person = f"ann{number // 2 % persons}"
        more = {"prompt_id": f"p{seed}-{number // 2}", "imitated": person, "sources": str(number // 2 % 40)}
        rows.append(row("newbot", tweet(rng, links), "bot", "newbot") | more)
    return rows


def row(account: str, text: str, label: str, generator: str) -> dict[str, str]:
    return dict(zip(HEADER, (account, text, label, generator), strict=True))


def write_rows(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_file(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def write_base(root: Path, train: int = 200, test: int = 120) -> Path:
    """TweepFake's three files with as many human as machine rows."""
    sizes = {"train": train, "validation": 30, "test": test}
    for seed, (split, count) in enumerate(sizes.items()):
        write_rows(root / "deepfake" / f"{split}.csv", [*human_rows(count, seed), *bot_rows(count, seed)])
    return root


def write_part(folder: Path, rows: Sequence[Mapping[str, str]], kind: Kind = "generated") -> Path:
    """A part with its manifest."""
    further = [name for name in rows[0] if name not in HEADER]
    part.write_part(folder, kind, rows, further, {}, license="apache-2.0")
    return folder


def recipe(folder: Path, parts: str, more: str = "", top: str = 'base = "deepfake"') -> Path:
    """A recipe in a folder; `parts` and `more` are TOML."""
    path = folder / "recipe.toml"
    path.write_text(f'name = "mixed"\n{top}\n{parts}\n{more}\n', encoding="utf-8")
    return path


def part_of(name: str, path: str | None = None, more: str = "") -> str:
    return f'[[parts]]\nname = "{name}"\npath = "{path or name}"\n{more}\n'
