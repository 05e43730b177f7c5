"""Tokens per second of `tweetelm generate`'s batches, and of transformers' `generate` one prompt at a time.

Both have the same model, prompts, precision, threads and limits, and run in turn in one process. They draw
other random numbers, so the number of tokens differs; the rates are per token written.
"""

import argparse
from itertools import islice
from pathlib import Path

import torch

from benchmarks.timing import Variant, machine, publish, run_interleaved
from tweetelm.generation.generator import Generator, find_generator
from tweetelm.generation.human_tweets import read_human_tweets
from tweetelm.generation.plan import PlanSettings, requests
from tweetelm.generation.request import Request
from tweetelm.generation.sampling import TOP_K, TOP_P
from tweetelm.precision import pick_device
from tweetelm.tasks import DEEPFAKE


def ours(generator: Generator, prompts: list[Request]) -> int:
    """Answer all; returns the number of tokens written."""
    answers = [answer for batch in generator.batches(prompts) for answer in generator.answer(batch)]
    return sum(answer.completion_tokens for answer in answers)


@torch.inference_mode()
def plain(generator: Generator, prompts: list[Request]) -> int:
    """Answer one after another, as transformers' documentation shows it."""
    written = 0
    for request in prompts:
        torch.manual_seed(request.seed)
        text = generator.tokenizer.apply_chat_template(
            request.messages, tokenize=False, add_generation_prompt=True
        )
        inputs = generator.tokenizer(
            text + request.begin, add_special_tokens=False, return_tensors="pt", return_token_type_ids=False
        )
        output = generator.model.generate(
            **inputs.to(generator.model.device),
            do_sample=True,
            temperature=request.temperature,
            top_k=TOP_K,
            top_p=TOP_P,
            max_new_tokens=generator.new_tokens,
            eos_token_id=list(generator.end),
            pad_token_id=generator.end[0],
        )
        written += output.shape[1] - inputs["input_ids"].shape[1]
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m", help="preset, hub id, folder or GGUF file")
    parser.add_argument("--root", default="sample", help="folder of the datasets, or sample")
    parser.add_argument("--prompts", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the report to this file")
    options = parser.parse_args()
    before = machine()
    generator = Generator.load(
        find_generator(options.model).folder, device=pick_device(), new_tokens=80, batch_tokens=16384
    )
    tweets, _ = read_human_tweets(DEEPFAKE, options.root, "human")
    prompts = list(islice(requests(PlanSettings(), tweets), options.prompts))
    variants = {
        "tweetelm's batches": Variant(lambda: ours(generator, prompts), ours(generator, prompts)),
        "generate, one by one": Variant(lambda: plain(generator, prompts), plain(generator, prompts)),
    }
    timings = run_interleaved(variants, options.rounds)
    batched, single = timings.values()
    lines = [
        before,
        "",
        f"{options.model}, {generator.model.dtype}, {options.prompts} prompts, at most 80 new "
        f"tokens, batches of at most 16,384 tokens, {options.rounds} rounds. Median (range).",
        "",
        "| | tokens/s |",
        "|---|---|",
        *[f"| {name} | {timing.rate} |" for name, timing in timings.items()],
        "",
        f"Ratio: {batched.faster_than(single)}",
    ]
    publish("Generation", lines, options.out)


if __name__ == "__main__":
    main()
