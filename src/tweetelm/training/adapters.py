"""LoRA (arXiv 2106.09685) with peft: trains low-rank updates of the decoder's frozen projections."""

import torch
from torch import Tensor

from tweetelm.config.train_config import OptimConfig
from tweetelm.openelm import OpenELMForSequenceClassification

PROJECTIONS = ["qkv_proj", "out_proj", "proj_1", "proj_2"]
_NAME = "default"  # peft's name for the only adapter


def add_adapters(model: OpenELMForSequenceClassification, config: OptimConfig) -> None:
    """Add an adapter to every projection of the decoder, in place. The initial update is zero.

    Raises:
        ValueError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError("--optim.mode lora needs peft; install it with `pip install peft`") from error
    settings = LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=PROJECTIONS, bias="none"
    )
    inject_adapter_in_model(settings, model)


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return ".lora_" in name


@torch.no_grad()
def merged_weights(model: OpenELMForSequenceClassification) -> dict[str, Tensor]:
    """The model's state dict with every adapter's update added to its weight, and without the adapters."""
    from peft.tuners.lora import LoraLayer

    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in model.state_dict().items()
        if not is_adapter(name)
    }
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            update: Tensor = getattr(module, "get_delta_weight")(_NAME)  # noqa: B009  # subclasses define it
            weights[f"{name}.weight"] = weights[f"{name}.weight"] + update
    return weights
