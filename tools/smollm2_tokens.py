"""Write tests/golden/smollm2_tokens.json: 100 texts with their tokens by llama.cpp.

    pip install llama-cpp-python
    python tools/smollm2_tokens.py --data data

Compares all texts of both datasets with the imported tokenizer first. The stored texts are synthetic: no
tweet is copied into the repository.
"""

import argparse
import json
import random
from pathlib import Path

from llama_cpp import Llama

from tweetelm.data import load
from tweetelm.files import atomic
from tweetelm.openelm.checkpoints.llama_presets import find_llama, import_once
from tweetelm.openelm.checkpoints.tokenizer import load_tokenizer
from tweetelm.openelm.presets import PRESETS
from tweetelm.tasks import DEEPFAKE, HATE

PIECES = [
    "don't",
    "I'M",
    "it's",
    "WE'LL",
    "2026",
    "3.14",
    "1,000,000",
    "x2",
    "¼",
    "٣٤",
    "😂",
    "👩🏽\u200d🚀",
    "🇫🇷",
    "❤️",
    "#tag",
    "@user",
    "http",
    "https://t.co/a1B2",
    "  ",
    "   ",
    "\t",
    "\n",
    "\n\n",
    "…",
    "—",
    "<|im_end|>",
    "<|endoftext|>",
    "</s>",
    "café",
    "naïve",
    "日本語",
    "안녕",
    "Привет",
    "مرحبا",
    "é",
    "ﬁ",
    "\u200b",
    "\xa0",
    "&amp;",
    "$5",
    "100%",
    "(",
    ")",
    "!!!",
    "??",
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "sooooo",
    "LOL",
    "a",
    "I",
]
OUT = Path("tests/golden/smollm2_tokens.json")


def synthetic(count: int) -> list[str]:
    """Texts of random pieces, joined by nothing, one space or two."""
    chance = random.Random(0)
    texts = []
    for _ in range(count):
        words = chance.choices(PIECES, k=chance.randrange(1, 12))
        texts.append("".join(word + chance.choice(["", " ", " ", "  "]) for word in words))
    return texts


def real(root: str) -> list[str]:
    """All texts of both datasets."""
    splits = [split for task in (HATE, DEEPFAKE) for split in load(task, root).values()]
    return [text for split in splits for text in split["text"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="data", help="folder of the datasets")
    root = parser.parse_args().data
    found = find_llama(PRESETS["smollm2-135m"])
    llama = Llama(str(found.path), vocab_only=True, verbose=False)
    ours = load_tokenizer(import_once(found, "smollm2-135m"))
    texts, golden, different = real(root), [], 0
    for text in [*texts, *synthetic(100)]:
        theirs = llama.tokenize(text.encode(), add_bos=False, special=False) if text else []
        different += theirs != ours.encode(text, add_special_tokens=False).ids
        golden.append((text, theirs))
    print(f"{len(texts):,} texts and 100 synthetic ones compared, {different} different")
    atomic.write_text(OUT, json.dumps(golden[-100:], ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
