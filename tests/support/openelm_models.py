"""Small random OpenELM models; heads and widths differ by layer, as in the real models."""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tweetelm.openelm import OpenELMConfig, OpenELMForCausalLM, OpenELMForSequenceClassification

TWEETS = [[1, 5, 9, 7, 20], [1, 8], [1, 30, 31, 32, 33, 34, 35, 36], [1], [1, 4, 4, 60, 2]]


def small_config(**changes: Any) -> OpenELMConfig:
    keys: dict[str, Any] = {
        "vocab_size": 64,
        "model_dim": 32,
        "num_transformer_layers": 3,
        "head_dim": 8,
        "num_gqa_groups": 2,
        "qkv_multipliers": [0.5, 1.0],
        "ffn_multipliers": [0.5, 2.0],
        "ffn_dim_divisor": 16,
        "normalize_qk_projections": True,
        "share_input_output_layers": True,
    }
    return OpenELMConfig(**keys | changes)


def classifier(implementation: str = "varlen", **changes: Any) -> OpenELMForSequenceClassification:
    """A classifier with the same weights for every implementation; large scores make errors visible."""
    torch.manual_seed(0)
    config = small_config(num_labels=3, **changes)
    model = OpenELMForSequenceClassification._from_config(config, attn_implementation=implementation)
    with torch.no_grad():
        model.score.weight.mul_(20)
    return model.eval()


def language_model(implementation: str = "sdpa", **changes: Any) -> OpenELMForCausalLM:
    torch.manual_seed(0)
    return OpenELMForCausalLM._from_config(small_config(**changes), attn_implementation=implementation).eval()


def pad(tweets: list[list[int]], side: str, pad_id: int = 0) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask`, (B, T)."""
    longest = max(map(len, tweets))
    ids, mask = [], []
    for tweet in tweets:
        missing = longest - len(tweet)
        left, right = (missing, 0) if side == "left" else (0, missing)
        ids.append([pad_id] * left + tweet + [pad_id] * right)
        mask.append([0] * left + [1] * len(tweet) + [0] * right)
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Enable activation checkpointing; transformers 5.23 renamed the method, 5.17 has the old name."""
    new = getattr(model, "activation_checkpointing_enable", None)
    (new or model.gradient_checkpointing_enable)()
