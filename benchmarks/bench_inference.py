"""Classification throughput and single-tweet latency against the usual ways. `--quick` for a small model."""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import torch
from shapes import model, padded, tweets
from timing import ROUNDS, in_turn, machine, matmul_peak, publish

from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.accounting import cost
from tweetelm.predictor import classify_packed, ready

BATCH = 32


def run_padded(
    net: OpenELMForSequenceClassification, rows: list[list[int]], to: int | None = None
) -> Callable[[], object]:
    """Classify rows in padded batches of 32."""
    batches = list(padded(rows, BATCH, to))

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                net(**batch)

    return run


def openvino_side(
    net: OpenELMForSequenceClassification, rows: list[list[int]], precision: str
) -> Callable[[], object] | None:
    """The same padded, length-sorted batches through OpenVINO; None where it is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    example = {key: value for key, value in next(padded(rows[:2], 2)).items() if key != "use_cache"}
    net.config.use_cache = False
    converted = openvino.convert_model(net, example_input=example)
    hint = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
    compiled = openvino.compile_model(converted, "CPU", hint)
    batches = [{k: v.numpy() for k, v in b.items() if k != "use_cache"} for b in padded(rows, BATCH)]
    return lambda: [compiled(batch) for batch in batches]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="scratch-4m in place of the 270M shape")
    parser.add_argument("--tweets", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--openvino", action="store_true", help="also OpenVINO, if installed (slow to convert)"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    name = "scratch-4m" if arguments.quick else "openelm-270m"
    lines = [machine(), ""]
    peak = matmul_peak(torch.bfloat16, torch.device("cpu"))
    packed = model(name)
    reference, careful = copy.deepcopy(packed), copy.deepcopy(packed)
    reference.set_attn_implementation("eager")
    careful.set_attn_implementation("sdpa")
    packed = ready(packed, torch.device("cpu"), "bf16")
    careful.bfloat16()
    rows = tweets(arguments.tweets, packed.config.vocab_size)
    in_order = sorted(rows, key=len)
    sides: dict[str, Callable[[], object]] = {
        "ours: packed, bf16": lambda: classify_packed(packed, rows, 4096),
        "a: padded to longest, eager, float32": run_padded(reference, rows),
        "b: padded to 160, eager, float32": run_padded(reference, rows, 160),
        "c: length-sorted, sdpa, bf16": run_padded(careful, in_order),
    }
    if arguments.openvino:
        exact = copy.deepcopy(reference)
        exact.set_attn_implementation("sdpa")
        for precision in ("f32", "bf16"):
            side = openvino_side(exact, in_order, precision)
            if side:
                sides[f"d: OpenVINO {precision}, length-sorted"] = side
    taken = in_turn(sides, arguments.rounds)
    ours = taken["ours: packed, bf16"].median
    tokens = sum(map(len, rows))
    size = cost(packed.config)
    done = 2 * (tokens * (size.linear - size.last_layer_saved) + len(rows) * size.last_layer_saved)
    lines += [
        f"{name}, {len(rows)} tweets, {tokens} tokens, median of {arguments.rounds} (lowest to highest)",
        "",
    ]
    lines += ["| side | seconds | tweets/s | ours is faster by |", "|---|---|---|---|"]
    for side, seconds in taken.items():
        ratio = seconds.median / ours
        lines.append(f"| {side} | {seconds} | {len(rows) / seconds.median:.1f} | {ratio:.2f} |")
    lines += [
        "",
        f"bf16 matrix product: {peak / 1e9:.0f} GFLOP/s; ours does {done / ours / 1e9:.0f} GFLOP/s of",
    ]
    lines += [f"needed work, {done / ours / peak:.0%} of it.", ""]
    one = [rows[min(range(len(rows)), key=lambda i: abs(len(rows[i]) - 38))]]
    single = in_turn(
        {"ours": lambda: classify_packed(packed, one, 4096), "a": run_padded(reference, one)},
        arguments.rounds,
    )
    ratio = single["a"].median / single["ours"].median
    lines.append(f"One tweet of {len(one[0])} tokens: ours {single['ours']} s, a {single['a']} s,")
    lines.append(f"{ratio:.2f} times faster.")
    publish("Classification", lines, arguments.out)


if __name__ == "__main__":
    main()
