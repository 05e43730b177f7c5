"""Classification throughput and single-tweet latency, compared with common alternatives.

The best precision is bfloat16 if the machine has it, else float32. Variants: ours as served (packed, best
precision); ours in int8 on a CPU; (a) batches of 32 padded to the longest row, eager attention,
float32, no cache; (b) the same, padded to 160 tokens; (c) tuned transformers: sorted by length, SDPA,
best precision, two batch sizes; (d) other engines on the batches of (c), see `benchmarks.engines`. Runs on a
GPU if there is one.
"""

import argparse
import copy
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks.engines import Engine, inputs, onnx_engines, openvino_engines
from benchmarks.shapes import (
    Rows,
    computed_tokens,
    model,
    padded,
    real_share,
    sample_rows,
    sorted_batches,
    to_device,
    tokens,
)
from benchmarks.timing import (
    PEAK,
    ROUNDS,
    Timing,
    Variant,
    machine,
    peak_variant,
    publish,
    run_interleaved,
    share_of_peak,
)
from tweetelm.encoding import pass_tokens
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.cpu.fused import why_not_fused
from tweetelm.openelm.flops import cost
from tweetelm.precision import has_bf16, pick_device
from tweetelm.predictor import classify_packed, ready

BATCH = 32
WIDE = 160
IN_A_ROW = 10  # passes over a single tweet, which are too short to be timed one by one
OURS = "ours"
INT8 = "ours, int8"
DEVICE = pick_device()
BEST: Literal["bf16", "float32"] = "bf16" if has_bf16(DEVICE) else "float32"
GPU = DEVICE.type == "cuda"
OTHER_BATCH = 256 if GPU else BATCH // 2
PASSES = (4096, 16384) if GPU else ()  # tokens per pass, in addition to the default
Model = OpenELMForSequenceClassification


def run_padded(net: Model, rows: Rows, size: int = BATCH, to: int | None = None) -> Variant:
    """Classify rows in padded batches."""
    batches = list(padded(rows, size, to))

    def run() -> Tensor:
        with torch.inference_mode():
            found = [net(**to_device(DEVICE, batch)).logits.float().cpu() for batch in batches]
        return torch.cat(found).softmax(-1)

    return Variant(run, tokens(rows))


def run_packed(net: Model, rows: Rows, most: int | None = None) -> Variant:
    """Classify rows as `Predictor` does, with at most `most` tokens per forward pass."""
    return Variant(lambda: classify_packed(net, rows, most).softmax(-1), tokens(rows))


def in_a_row(variant: Variant) -> Variant:
    """The same work IN_A_ROW times."""

    def run() -> Tensor:
        return [variant.run() for _ in range(IN_A_ROW)][-1]

    return Variant(run, IN_A_ROW * variant.amount)


def run_engine(engine: Engine, rows: Rows, size: int = BATCH) -> Variant:
    """Classify rows in padded batches with another engine."""
    batches = [inputs(batch) for batch in padded(rows, size)]
    return Variant(lambda: torch.cat([engine(*batch) for batch in batches]), tokens(rows))


def sides(
    reference: Model, random_order: Rows, by_length: Rows, one: Rows, *, engines: bool
) -> tuple[dict[str, Variant], dict[str, Variant]]:
    """All variants by name: on many rows, and on one row."""
    tuned = copy.deepcopy(reference).to(torch.bfloat16 if BEST == "bf16" else torch.float32)
    tuned.set_attn_implementation("sdpa")
    packed = copy.deepcopy(reference)
    packed.set_attn_implementation("varlen")
    ours = {OURS: ready(copy.deepcopy(packed), DEVICE, BEST)}
    if not why_not_fused(reference.config, DEVICE, "int8"):
        ours[INT8] = ready(packed, DEVICE, "int8")
    many = {
        PEAK: peak_variant(DEVICE),
        **{name: run_packed(net, by_length) for name, net in ours.items()},
        **{f"ours, {most} tokens per pass": run_packed(ours[OURS], by_length, most) for most in PASSES},
        f"c: sorted, sdpa, {BEST}, batches of {BATCH}": run_padded(tuned, by_length),
        f"c: sorted, sdpa, {BEST}, batches of {OTHER_BATCH}": run_padded(tuned, by_length, OTHER_BATCH),
        "a: padded to the longest, eager, float32": run_padded(reference, random_order),
        f"b: padded to {WIDE}, eager, float32": run_padded(reference, random_order, to=WIDE),
    }
    single = {name: run_packed(net, one) for name, net in ours.items()}
    single |= {"a": run_padded(reference, one), "c": run_padded(tuned, one)}
    if engines:
        found = openvino_engines(reference, by_length, bf16=BEST == "bf16") | onnx_engines(reference)
        many |= {f"d: {kind}, sorted": run_engine(engine, by_length) for kind, engine in found.items()}
        single |= {kind: run_engine(engine, one) for kind, engine in found.items()}
    return many, {name: in_a_row(variant) for name, variant in single.items()}


def losses(variants: dict[str, Variant], exact: Tensor) -> dict[str, str]:
    """By variant, the mean and largest difference of its probabilities from `exact` (N, K)."""
    found = {}
    for name, variant in variants.items():
        answers = variant.run()
        if isinstance(answers, Tensor) and answers.shape == exact.shape:
            error = (answers - exact).abs()
            found[name] = f"{float(error.mean()):.4f}, {float(error.max()):.4f}"
    return found


def table(timings: dict[str, Timing], mean: float, loss: dict[str, str]) -> list[str]:
    """A row for each variant."""
    titles = ("variant", "tweets/s", "speedup of ours (wall)", "speedup of ours (CPU)")
    titles += ("of ours in int8 (wall)", "difference from float32: mean, largest")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, variant in timings.items():
        if name != PEAK:
            speed = Timing(variant.wall, variant.cpu, variant.amount / mean).rate
            ours, int8 = timings[OURS], timings.get(INT8)
            cells = (name, speed, ours.faster_than(variant), ours.cheaper_than(variant))
            cells += (int8.faster_than(variant) if int8 else "", loss.get(name, ""))
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="use scratch-4m instead of openelm-270m")
    parser.add_argument(
        "--slow", type=int, default=1024 if GPU else 64, help="number of tweets for the float32 variants"
    )
    parser.add_argument(
        "--batches",
        type=int,
        default=128 if GPU else 8,
        help="number of length-sorted batches of 32 for the other variants",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of rounds")
    parser.add_argument(
        "--engines", action="store_true", help="include OpenVINO and ONNX Runtime (conversion takes minutes)"
    )
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    name = "scratch-4m" if arguments.quick else "openelm-270m"
    lines = [machine(), ""]
    reference = model(name, "eager").to(DEVICE)
    size, vocabulary = cost(reference.config), reference.config.vocab_size
    random_order = sample_rows(arguments.slow, vocabulary)
    by_length = sorted_batches(arguments.batches, BATCH, vocabulary)
    one = [min(by_length, key=lambda row: abs(len(row) - 36))]
    variants, single = sides(reference, random_order, by_length, one, engines=arguments.engines)
    exact = run_packed(copy.deepcopy(reference), by_length).run()
    assert isinstance(exact, Tensor)
    loss = losses(variants, exact)
    timings = run_interleaved(variants, arguments.rounds)
    mean = tokens(by_length) / len(by_length)
    lines += [
        f"{name}, random weights. {len(by_length)} tweets ({tokens(by_length)} tokens) for ours, (c), (d); "
        f"{len(random_order)} ({tokens(random_order)}) for (a) and (b). Share of non-padding tokens: (a) "
        f"{real_share(random_order, BATCH):.2f}, (b) {real_share(random_order, BATCH, WIDE):.2f}, (c) "
        f"{real_share(by_length, BATCH):.3f}. Median of {arguments.rounds} rounds (lowest to highest).",
        "",
    ]
    lines += table(timings, mean, loss)
    computed = tokens(by_length) if GPU else computed_tokens(by_length, pass_tokens(DEVICE))
    flop = 2.0 * (computed * size.linear - size.last_layer_saved * (computed - len(by_length)))
    lines += [
        "",
        share_of_peak(timings, OURS, flop),
        "",
        f"One tweet of {len(one[0])} tokens, {IN_A_ROW} passes in a row:",
        "",
    ]
    lines += table(run_interleaved(single, 3 * arguments.rounds), len(one[0]), {})
    publish("Classification", lines, arguments.out)


if __name__ == "__main__":
    main()
