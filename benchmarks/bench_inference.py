"""Classification throughput and single-tweet latency against the usual ways. `--quick` for a small model.

Sides: ours as it is served (packed, bfloat16); (a) padded batches of 32 to the longest, eager attention,
float32, no cache; (b) the same padded to 160; (c) what care gets from transformers alone: sorted by length,
SDPA, bfloat16, the better of two batch sizes; (d) OpenVINO on the batches of (c). On a GPU, if there is one.
"""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.shapes import Rows, arriving, model, on, padded, sorted_batches, tokens, useful
from benchmarks.timing import PEAK, ROUNDS, Side, Taken, in_turn, machine, peak_side, publish, share_of_peak
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.flops import cost
from tweetelm.precision import pick_device
from tweetelm.predictor import classify_packed, ready

BATCH = 32
WIDE = 160
OURS = "ours"
DEVICE = pick_device()
GPU = DEVICE.type == "cuda"
OTHER_BATCH = 256 if GPU else BATCH // 2
PASSES = (4096, 16384) if GPU else ()  # tokens, beside the default
Model = OpenELMForSequenceClassification


def run_padded(net: Model, rows: Rows, size: int = BATCH, to: int | None = None) -> Side:
    """Classify rows in padded batches."""
    batches = list(padded(rows, size, to))

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                net(**on(DEVICE, batch)).logits.cpu()

    return Side(run, tokens(rows))


def run_packed(net: Model, rows: Rows, most: int | None = None) -> Side:
    """Classify rows as `Predictor` does, `most` tokens to a forward pass."""
    return Side(lambda: classify_packed(net, rows, most), tokens(rows))


def openvino_models(net: Model) -> dict[str, Callable[[Rows, int], Side]]:
    """By precision: a padded side on OpenVINO."""
    import openvino

    example = {k: v for k, v in next(padded([[1, 5, 6], [1, 7]], 2)).items() if k != "use_cache"}
    net.config.use_cache = False
    with torch.no_grad():
        converted = openvino.convert_model(net, example_input=example)

    def compiled(precision: str) -> Callable[[Rows, int], Side]:
        hint = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        running = openvino.compile_model(converted, "CPU", hint)

        def side(rows: Rows, size: int) -> Side:
            batches = [{k: v.numpy() for k, v in b.items() if k != "use_cache"} for b in padded(rows, size)]
            return Side(lambda: [running(batch) for batch in batches], tokens(rows))

        return side

    return {"OpenVINO float32": compiled("f32"), "OpenVINO bf16": compiled("bf16")}


def table(taken: dict[str, Taken], mean: float) -> list[str]:
    """A row for each side."""
    lines = ["| side | tweets/s | ours is faster by | in processor seconds |", "|---|---|---|---|"]
    for name, side in taken.items():
        if name != PEAK:
            speed = Taken(side.wall, side.cpu, side.amount / mean).rate
            ours = taken[OURS]
            lines.append(f"| {name} | {speed} | {ours.faster_than(side)} | {ours.cheaper_than(side)} |")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="scratch-4m in place of the 270M shape")
    parser.add_argument(
        "--slow", type=int, default=1024 if GPU else 64, help="tweets of the sides in float32"
    )
    parser.add_argument(
        "--batches", type=int, default=128 if GPU else 8, help="length-sorted batches of 32 of the others"
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--openvino", action="store_true", help="also OpenVINO (slow to convert)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name = "scratch-4m" if arguments.quick else "openelm-270m"
    lines = [machine(), ""]
    reference = model(name, "eager").to(DEVICE)
    size = cost(reference.config)
    careful = copy.deepcopy(reference).bfloat16()
    careful.set_attn_implementation("sdpa")
    packed = copy.deepcopy(reference)
    packed.set_attn_implementation("varlen")
    packed = ready(packed, DEVICE, "bf16")
    vocabulary = reference.config.vocab_size
    random_order, by_length = (
        arriving(arguments.slow, vocabulary),
        sorted_batches(arguments.batches, BATCH, vocabulary),
    )
    one = [min(by_length, key=lambda row: abs(len(row) - 36))]
    sides = {
        PEAK: peak_side(DEVICE),
        OURS: run_packed(packed, by_length),
        **{f"ours, passes of {most} tokens": run_packed(packed, by_length, most) for most in PASSES},
        f"c: sorted, sdpa, bf16, batches of {BATCH}": run_padded(careful, by_length),
        f"c: sorted, sdpa, bf16, batches of {OTHER_BATCH}": run_padded(careful, by_length, OTHER_BATCH),
        "a: to the longest, eager, float32": run_padded(reference, random_order),
        f"b: to {WIDE}, eager, float32": run_padded(reference, random_order, to=WIDE),
    }
    single = {OURS: run_packed(packed, one), "a": run_padded(reference, one), "c": run_padded(careful, one)}
    if arguments.openvino:
        other = copy.deepcopy(reference)
        other.set_attn_implementation("sdpa")
        for kind, side in openvino_models(other).items():
            sides[f"d: {kind}, sorted"], single[kind] = side(by_length, BATCH), side(one, 1)
        del other
    taken = in_turn(sides, arguments.rounds)
    mean = tokens(by_length) / len(by_length)
    lines += [
        f"{name}, random weights. {len(by_length)} tweets ({tokens(by_length)} tokens) for ours, (c), (d); "
        f"{len(random_order)} ({tokens(random_order)}) for (a) and (b). Real tokens among all: (a) "
        f"{useful(random_order, BATCH):.2f}, (b) {useful(random_order, BATCH, WIDE):.2f}, (c) "
        f"{useful(by_length, BATCH):.3f}. Median of {arguments.rounds} rounds (lowest to highest).",
        "",
    ]
    lines += table(taken, mean)
    saved = size.last_layer_saved * (tokens(by_length) - len(by_length))
    flop = 2.0 * (tokens(by_length) * size.linear - saved)
    lines += ["", share_of_peak(taken, OURS, flop), "", f"One tweet of {len(one[0])} tokens:", ""]
    lines += table(in_turn(single, 3 * arguments.rounds), len(one[0]))
    publish("Classification", lines, arguments.out)


if __name__ == "__main__":
    main()
