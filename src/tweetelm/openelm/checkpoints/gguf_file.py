"""Reads Llama checkpoints in llama.cpp's GGUF format: configuration, tensors, tokenizer.

Source: the GGUF specification and `convert_hf_to_gguf.py` of llama.cpp, through the package `gguf`.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import LlamaConfig

from tweetelm.files.hashing import sha256
from tweetelm.files.origin import UNKNOWN_LICENSE

from .llama_mapping import llama_names
from .llama_source import LlamaSource, llama_config
from .tokenizer import with_bos

_CONTROL, _USER_DEFINED = 3, 4  # token types
_DIGITS = pre_tokenizers.Digits(individual_digits=True)
_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
_SPLITS: dict[str, Any] = {  # pre-tokenizers by llama.cpp's name
    "smollm": pre_tokenizers.Sequence([_DIGITS, _BYTES]),
    "gpt-2": _BYTES,
}
_REFUSED = {  # keys of the architecture that OpenELM has no equivalent for, with the harmless value
    "rope.scaling.type": "none",
    "rope.scaling.factor": 1.0,
    "rope.scale_linear": 1.0,
    "attention.sliding_window": 0,
    "expert_count": 0,
}


def read_gguf(path: Path) -> LlamaSource:
    """Read a GGUF file with a Llama model and its tokenizer.

    Raises:
        ModuleNotFoundError: the package gguf is not installed.
        ValueError: the file is damaged, is not a Llama model, or has a feature that OpenELM lacks.
    """
    try:
        import gguf
    except ImportError as error:
        raise ModuleNotFoundError(
            f"reading {path} needs the package gguf ({error}); type `pip install gguf`"
        ) from error
    try:
        reader = gguf.GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a GGUF file ({error}); copy or download it again") from error
    try:
        return _source(path, reader, fields)
    except KeyError as error:
        raise ValueError(f"{path} lacks the key {error}; copy or download it again") from error


def _source(path: Path, reader: Any, fields: Mapping[str, Any]) -> LlamaSource:
    stored = {tensor.name: tensor for tensor in reader.tensors}
    if "rope_freqs.weight" in stored:
        raise ValueError(f"{path} has RoPE scaling (rope_freqs.weight), which OpenELM cannot represent")
    config = _config(path, fields, tied="output.weight" not in stored)
    names, tokens = _names(stored, config), fields["tokenizer.ggml.tokens"]
    named = {
        f"{name}_token": tokens[fields[f"tokenizer.ggml.{name}_token_id"]]
        for name in ("bos", "eos")
        if f"tokenizer.ggml.{name}_token_id" in fields
    }
    tokenizer = _tokenizer(path, fields)
    if fields.get("tokenizer.ggml.add_bos_token") and "bos_token" in named:
        with_bos(tokenizer, named["bos_token"])
    if "tokenizer.chat_template" in fields:
        named["chat_template"] = fields["tokenizer.chat_template"]
    return LlamaSource(
        config=config,
        names=names,
        read=lambda name: _tensor(stored[names[name]], config),
        tokenizer=tokenizer,
        named=named,
        origin={
            "base": _base(fields, path),
            "file": path.name,
            "sha256": sha256(path),
            "quantization": _quantization(reader),
            "license": str(fields.get("general.license", UNKNOWN_LICENSE)),
        },
    )


def _base(fields: Mapping[str, Any], path: Path) -> str:
    parts = [fields.get("general.organization"), fields.get("general.name")]
    return " ".join(str(part) for part in parts if part) or path.stem


def _quantization(reader: Any) -> str:
    """The types of the matrices, the most frequent first."""
    types = [tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1]
    return ", ".join(sorted(set(types), key=lambda name: -types.count(name)))


def _config(path: Path, fields: Mapping[str, Any], *, tied: bool) -> LlamaConfig:
    if (architecture := fields["general.architecture"]) != "llama":
        raise ValueError(f"{path} has the architecture {architecture!r}; expected 'llama'")
    for key, harmless in _REFUSED.items():
        if (value := fields.get(f"llama.{key}", harmless)) != harmless:
            raise ValueError(f"{path} has llama.{key} {value!r}, which OpenELM cannot represent")
    width, heads = fields["llama.embedding_length"], fields["llama.attention.head_count"]
    head = fields.get("llama.attention.key_length", width // heads)
    if fields.get("llama.rope.dimension_count", head) != head:
        raise ValueError(f"{path} rotates only a part of each head, which OpenELM cannot represent")
    values = {
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": width,
        "intermediate_size": fields["llama.feed_forward_length"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": fields.get("llama.attention.head_count_kv", heads),
        "head_dim": head,
        "max_position_embeddings": fields["llama.context_length"],
        "rms_norm_eps": round(fields["llama.attention.layer_norm_rms_epsilon"], 12),  # stored as float32
        "rope_parameters": {"rope_type": "default", "rope_theta": fields.get("llama.rope.freq_base", 1e4)},
        "tie_word_embeddings": tied,
    }
    return llama_config(path, values)


def _names(stored: Collection[str], config: LlamaConfig) -> dict[str, str]:
    """The stored tensors by their names in transformers; names that Llama does not have are unchanged."""
    import gguf

    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    ours = {known.get_name(name, try_suffixes=(".weight",)): name for name in llama_names(config)}
    return {ours.get(name, name): name for name in stored}


def _tensor(stored: Any, config: LlamaConfig) -> Tensor:
    """A tensor in float32; llama.cpp stores the rows of a head's query and key in rotary pairs."""
    import gguf

    values = np.array(gguf.dequantize(stored.data, stored.tensor_type), dtype=np.float32)
    values = values.reshape([int(size) for size in stored.shape[::-1]])
    heads = {"attn_q.weight": config.num_attention_heads, "attn_k.weight": config.num_key_value_heads}
    if count := heads.get(stored.name.split(".", 2)[-1]):
        pairs = values.reshape(count, values.shape[0] // count // 2, 2, -1)
        values = np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)
    return torch.from_numpy(values)


def _tokenizer(path: Path, fields: Mapping[str, Any]) -> Tokenizer:
    """A byte-level BPE.

    Raises:
        ValueError: the tokenizer is of another kind.
    """
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    kind, split = fields["tokenizer.ggml.model"], fields.get("tokenizer.ggml.pre", "default")
    if kind != "gpt2" or split not in _SPLITS or _USER_DEFINED in types:
        own = " with tokens defined by its user" if _USER_DEFINED in types else ""
        raise ValueError(
            f"{path} has a tokenizer of type {kind!r}, {split!r}{own}; expected 'gpt2', "
            f"{' or '.join(map(repr, _SPLITS))}; import a folder with tokenizer.json instead"
        )
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = _SPLITS[split]
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, type_ in zip(tokens, types, strict=True) if type_ == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer
