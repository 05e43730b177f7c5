"""Samples tweets for a batch of prompts: left-padded, with a key-value cache, one random stream per row.

B: rows of the batch. T: tokens of the longest prompt. V: vocabulary.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

TOP_K = 200
TOP_P = 0.95


class RowSampling(LogitsProcessor):
    """Replaces the scores by the choice of one token per row, so that greedy decoding takes it.

    Each row has its own temperature and its own random numbers. A row's tokens therefore do not depend on the
    rows beside it, up to rounding. The choice is from the 200 most probable tokens, and among these from the
    fewest that have 95 % of the probability (nucleus sampling, arXiv 1904.09751).

    Args:
        temperatures: B temperatures.
        seeds: B seeds.
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int]) -> None:
        self._temperatures = torch.tensor(temperatures)[:, None]
        self._random = [random.Random(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) to scores (B, V): 0 for the chosen token of a row, minus infinity for all others."""
        logits, tokens = scores.float().topk(min(TOP_K, scores.shape[-1]), dim=-1)  # both (B, K), sorted
        shares = (logits / self._temperatures.to(logits.device)).softmax(-1)
        before = shares.cumsum(-1) - shares
        shares = shares.where(before < TOP_P, 0.0)
        draws = torch.tensor([each.random() for each in self._random], device=shares.device)
        place = (shares.cumsum(-1) <= draws[:, None] * shares.sum(-1, keepdim=True)).sum(-1, keepdim=True)
        chosen = tokens.gather(-1, place.clamp(max=tokens.shape[-1] - 1))
        return torch.full_like(scores, -torch.inf).scatter(-1, chosen, 0.0)


@torch.inference_mode()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    temperatures: Sequence[float],
    seeds: Sequence[int],
    *,
    end: Sequence[int],
    new_tokens: int,
) -> list[list[int]]:
    """Continue each prompt until its end token, or by so many tokens.

    Args:
        model: a causal language model.
        prompts: B token sequences.
        temperatures: B temperatures, above 0.
        seeds: B seeds.
        end: ids of the tokens that end an answer.
        new_tokens: maximum number of new tokens.

    Returns:
        The B continuations, without the end token.
    """
    longest = max(map(len, prompts))
    ids = torch.tensor([[end[0]] * (longest - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    inputs: dict[str, Any] = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
    output = model.generate(  # type: ignore[operator]  # of GenerationMixin
        **inputs,
        do_sample=False,
        max_new_tokens=new_tokens,
        eos_token_id=list(end),
        pad_token_id=end[0],
        logits_processor=LogitsProcessorList([RowSampling(temperatures, seeds)]),
    )
    return [_until(row, end) for row in output[:, longest:].tolist()]


def _until(tokens: list[int], end: Sequence[int]) -> list[int]:
    stops = [place for place, token in enumerate(tokens) if token in end]
    return tokens[: stops[0]] if stops else tokens


def batches_of_like_length(lengths: Sequence[int], tokens: int, new_tokens: int) -> Iterator[list[int]]:
    """Divide rows into batches, longest prompts first, of at most so many tokens.

    Args:
        lengths: N prompt lengths.
        tokens: maximum of (longest prompt + `new_tokens`) times rows, so with padding and answers; a batch
            has at least one row.
        new_tokens: maximum number of new tokens per row.

    Yields:
        Row numbers of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    while order:
        size = max(1, tokens // (lengths[order[0]] + new_tokens))
        yield order[:size]
        order = order[size:]
