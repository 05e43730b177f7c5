"""Write the embedded synthetic sample: `python -m tools.sample_data`.

The output is byte-identical on all machines, except for the GRU's rows, which depend on the floating-point
arithmetic.
"""

import argparse
import csv
import random
from pathlib import Path

import torch

from tools.sample_data.hate import hate_rows
from tools.sample_data.humans import human_rows
from tools.sample_data.machines import MarkovChain, distinct, train_character_model
from tweetelm.data.load import SAMPLE
from tweetelm.tasks import HATE

DATA = Path(__file__).parents[2] / "src/tweetelm/data"
SEED = 20261121
SIZES = {"train": 600, "validation": 120, "test": 160}
DEEPFAKE_COLUMNS = ("screen_name", "text", "account.type", "class_type")
Row = tuple[str, str, str, str]


def main() -> None:
    """Write the files of both tasks to a folder, by default the one in the package."""
    parser = argparse.ArgumentParser(
        description="Write the synthetic sample, from original phrases and invented people."
    )
    parser.add_argument("--out", type=Path, default=DATA / SAMPLE, help="output folder; default: %(default)s")
    out = parser.parse_args().out
    write_hate(out / "hate")
    write_deepfake(out / "deepfake")
    print(f"wrote {out / 'hate'} and {out / 'deepfake'}")


def write_hate(folder: Path) -> None:
    """Write the hate sample in TweetEval's format."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "mapping.txt", [f"{i}\t{label}" for i, label in enumerate(HATE.labels)])
    rows = hate_rows(sum(SIZES.values()), random.Random(SEED))
    for size, name in zip(SIZES.values(), ("train", "val", "test"), strict=True):
        part, rows = rows[:size], rows[size:]
        _write(folder / f"{name}_text.txt", [text for text, _ in part])
        _write(folder / f"{name}_labels.txt", [str(label) for _, label in part])


def _write(file: Path, lines: list[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def write_deepfake(folder: Path) -> None:
    """Write the deepfake sample in TweepFake's format."""
    folder.mkdir(parents=True, exist_ok=True)
    humans, markov = human_and_markov_rows()
    rnn = rnn_rows([text for _, text, _, _ in humans["train"]])
    for split in SIZES:
        rows = humans[split] + markov[split] + rnn[split]
        random.Random(f"{SEED} {split}").shuffle(rows)
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=";", lineterminator="\n")
            writer.writerow(DEEPFAKE_COLUMNS)
            writer.writerows(rows)


def human_and_markov_rows() -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Rows by split: half by humans, a quarter by a Markov chain fit on the human training rows."""
    rng = random.Random(SEED)
    written = [(name, text, "human", "human") for name, text in human_rows(sum(SIZES.values()) // 2, rng)]
    humans = _split(written, 2)
    chain = MarkovChain([text for _, text, _, _ in humans["train"]])
    texts = distinct(lambda: chain.write(rng), sum(SIZES.values()) // 4, [text for _, text, _, _ in written])
    return humans, _split([("markov_mill", text, "bot", "others") for text in texts], 4)


def rnn_rows(human_texts: list[str]) -> dict[str, list[Row]]:
    """Rows by split: a quarter by a character GRU trained on the human training rows."""
    model = train_character_model(human_texts, seed=SEED)
    generator = torch.Generator().manual_seed(SEED)
    texts = distinct(lambda: model.write(generator), sum(SIZES.values()) // 4, human_texts)
    return _split([("grunting_gru", text, "bot", "rnn") for text in texts], 4)


def _split(rows: list[Row], share: int) -> dict[str, list[Row]]:
    parts: dict[str, list[Row]] = {}
    for split, size in SIZES.items():
        parts[split], rows = rows[: size // share], rows[size // share :]
    return parts


if __name__ == "__main__":
    main()
