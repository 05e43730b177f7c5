"""Random Llama models, as folders of transformers and as GGUF files of llama.cpp."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.support.checkpoints import small_tokenizer
from tweetelm.openelm import OpenELMForCausalLM
from tweetelm.openelm.checkpoints.tokenizer import save_tokenizer
from tweetelm.openelm.packing import pack


def llama(seed: int = 0, **changes: Any) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    rope = {"rope_type": "default", "rope_theta": changes.pop("rope_theta", 1e4)}
    usual = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3, "initializer_range": 0.3}
    usual |= {
        "num_attention_heads": 4,
        "vocab_size": 320,
        "max_position_embeddings": 64,
        "rope_parameters": rope,
    }
    model = LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **(usual | changes)))
    for name, parameter in model.named_parameters():  # norms of 1 would hide a swap
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model.eval()


def save(model: LlamaForCausalLM, folder: Path) -> Path:
    model.save_pretrained(folder)
    save_tokenizer(small_tokenizer(), folder, 64)
    return folder


def write_gguf(model: LlamaForCausalLM, path: Path, **changes: Any) -> Path:
    """Write a model as llama.cpp's converter does: rows of q and k in rotary pairs, float32."""
    config, tokenizer = model.config, small_tokenizer()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    pieces = tokenizer.get_vocab()
    content = json.loads(tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(changes.pop("pre", "smollm"))
    writer.add_token_list(sorted(pieces, key=pieces.__getitem__))
    writer.add_token_types([3] * 3 + [1] * (len(pieces) - 3))
    writer.add_token_merges([" ".join(pair) for pair in content["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    for key, value in changes.items():
        (writer.add_uint32 if isinstance(value, int) else writer.add_string)(key.replace("__", "."), value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        if "q_proj" in name or "k_proj" in name:
            halves = tensor.reshape(heads, 2, config.head_dim // 2, -1)
            tensor = halves.transpose(1, 2).reshape(tensor.shape)
        stored = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(stored, np.ascontiguousarray(tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def check_parity(
    ours: OpenELMForCausalLM, theirs: LlamaForCausalLM, rows: list[list[int]], tolerance: float = 1e-4
) -> None:
    """Compare the logits of rows that are packed, padded on both sides, and read token by token."""
    with torch.inference_mode():
        alone = [theirs(input_ids=torch.tensor([row])).logits[0] for row in rows]
        packed = pack(rows)
        torch.testing.assert_close(
            ours(**packed.inputs()).logits[0], torch.cat(alone), atol=tolerance, rtol=0
        )
        width = max(map(len, rows))
        for side in ("right", "left"):
            filled = [width - len(row) for row in rows]
            spots = [
                slice(0, len(row)) if side == "right" else slice(n, width)
                for row, n in zip(rows, filled, strict=True)
            ]
            ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
            for number, (row, spot) in enumerate(zip(rows, spots, strict=True)):
                ids[number, spot], mask[number, spot] = torch.tensor(row), 1
            logits = ours(input_ids=ids, attention_mask=mask).logits
            for number, spot in enumerate(spots):
                torch.testing.assert_close(logits[number, spot], alone[number], atol=tolerance, rtol=0)
        cache = None
        for position, token in enumerate(rows[0]):
            out = ours(input_ids=torch.tensor([[token]]), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            torch.testing.assert_close(out.logits[0, 0], alone[0][position], atol=tolerance, rtol=0)
