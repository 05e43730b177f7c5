"""Maps a Llama model to OpenELM, tensor for tensor: same layers, other names and fused projections.

Source: `LlamaForCausalLM` of transformers.
"""

import math
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor
from transformers import LlamaConfig

from ..configuration_openelm import OpenELMConfig

_EMBEDDING, _HEAD, _NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
_TOP = {"transformer.token_embeddings.weight": (_EMBEDDING,), "transformer.norm.weight": (_NORM,)}
_LAYER = {  # names in a layer: of OpenELM, and of Llama in the order in which they are concatenated
    "attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attn.out_proj": ("self_attn.o_proj",),
    "ffn.proj_1": ("mlp.gate_proj", "mlp.up_proj"),
    "ffn.proj_2": ("mlp.down_proj",),
    "attn_norm": ("input_layernorm",),
    "ffn_norm": ("post_attention_layernorm",),
}
_LARGEST_DIVISOR = 256


def openelm_config(config: LlamaConfig, *, bos: int, eos: int | None) -> OpenELMConfig:
    """The OpenELM configuration with the same function.

    Args:
        config: Llama's configuration.
        bos: id of the token that starts a text.
        eos: id of the token that ends one.

    Raises:
        ValueError: the model has a feature that OpenELM lacks; the message names it.
    """
    _refuse(config)
    layers, width, wide = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    divisor = math.gcd(wide, _LARGEST_DIVISOR)
    queries, keys, head = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    assert keys is not None, "LlamaConfig sets it"
    assert head is not None, "LlamaConfig sets it"
    return OpenELMConfig(
        vocab_size=config.vocab_size,
        max_context_length=config.max_position_embeddings,
        num_transformer_layers=layers,
        model_dim=width,
        head_dim=head,
        num_query_heads=[queries] * layers,
        num_kv_heads=[keys] * layers,
        num_gqa_groups=queries // keys,
        ffn_multipliers=[wide / width] * layers,
        ffn_dim_divisor=divisor,
        normalize_qk_projections=False,
        share_input_output_layers=True,
        rope_freq_constant=_rope(config)["rope_theta"],
        rope_max_length=config.max_position_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        initializer_range=config.initializer_range,
        bos_token_id=bos,
        eos_token_id=eos,
    )


def _rope(config: LlamaConfig) -> dict[str, float]:
    return dict(config.rope_parameters or {})


def _refuse(config: LlamaConfig) -> None:
    """Raise ValueError for the first feature that OpenELM lacks."""
    rope = _rope(config)
    unfit = {
        "biases in attention (attention_bias)": config.attention_bias,
        "biases in feed-forward layers (mlp_bias)": config.mlp_bias,
        "an output layer of its own (tie_word_embeddings false)": not config.tie_word_embeddings,
        f"RoPE scaling ({rope.get('rope_type')})": rope.get("rope_type", "default") != "default",
        "partly rotated heads": rope.get("partial_rotary_factor", 1.0) != 1.0,
        "a sliding window": getattr(config, "sliding_window", None) is not None,
        f"the activation {config.hidden_act!r}; expected 'silu'": config.hidden_act not in ("silu", "swish"),
    }
    for feature, present in unfit.items():
        if present:
            raise ValueError(f"the model has {feature}; OpenELM cannot represent it")


def llama_names(config: LlamaConfig) -> list[str]:
    """The names of all tensors of a Llama model with tied embeddings."""
    return [name for parts in _mapping(config).values() for name in parts]


def _mapping(config: LlamaConfig) -> dict[str, tuple[str, ...]]:
    """Llama's tensors for each of OpenELM's."""
    layers = {
        f"transformer.layers.{layer}.{name}.weight": tuple(
            f"model.layers.{layer}.{part}.weight" for part in parts
        )
        for layer in range(config.num_hidden_layers)
        for name, parts in _LAYER.items()
    }
    return _TOP | layers


def convert(
    config: LlamaConfig, names: Collection[str], read: Callable[[str], Tensor]
) -> Mapping[str, Tensor]:
    """The tensors of the OpenELM model.

    Args:
        config: Llama's configuration.
        names: the stored tensors.
        read: returns a stored tensor by its name.

    Raises:
        ValueError: a tensor is missing, or unknown, such as a bias.
    """
    mapping, found = _mapping(config), set(names)
    if _HEAD in found and torch.equal(read(_HEAD), read(_EMBEDDING)):
        found.discard(_HEAD)
    expected = set(llama_names(config))
    for problem, which in (("unknown", found - expected), ("missing", expected - found)):
        if which:
            more = f" and {len(which) - 3} more" if len(which) > 3 else ""
            listed = ", ".join(sorted(which)[:3])
            raise ValueError(
                f"tensors that are {problem} in a Llama model with tied embeddings: {listed}{more}"
            )
    return {name: _joined(parts, read) for name, parts in mapping.items()}


def _joined(parts: tuple[str, ...], read: Callable[[str], Tensor]) -> Tensor:
    if len(parts) == 1:
        return read(parts[0])
    tensors = [read(part) for part in parts]
    if len({tensor.shape[1:] for tensor in tensors}) != 1:
        shapes = ", ".join(f"{part} {list(t.shape)}" for part, t in zip(parts, tensors, strict=True))
        raise ValueError(f"tensors do not have the same width: {shapes}")
    return torch.cat(tensors)
