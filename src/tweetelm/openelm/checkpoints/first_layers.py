"""The first decoder layers of a model, as a smaller model with the same embedding and final norm."""

import re

from ..configuration_openelm import OpenELMConfig

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


def keep_first_layers(config: OpenELMConfig, layers: int) -> None:
    """Reduce a configuration, in place, to its first `layers` layers.

    Raises:
        ValueError: the model has fewer layers, or `layers` is below 1.
    """
    total = config.num_transformer_layers
    if not 1 <= layers <= total:
        raise ValueError(f"the model has {total} layers; expected 1 to {total} of them, not {layers}")
    for name in ("qkv_multipliers", "ffn_multipliers", "num_query_heads", "num_kv_heads"):
        value = getattr(config, name)
        if not isinstance(value, int | float):
            spread = config._one_each(name, value)  # from two numbers, of the first and the last layer
            setattr(config, name, spread[:layers])
    config.num_transformer_layers = layers


def is_above(tensor: str, layers: int | None) -> bool:
    """Whether a tensor belongs to a layer above the first `layers`; False without a limit."""
    found = _LAYER.search(tensor)
    return layers is not None and found is not None and int(found[1]) >= layers
