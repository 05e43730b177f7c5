"""OpenELM for transformers 5: the decoder and the language model.

Implements the paper (arXiv 2404.14619) with the tensor names and shapes of the published checkpoints.

Shapes: B rows (tweets), T tokens of a row, D model width, V vocabulary, N tokens of a packed row (B
concatenated tweets).
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation.utils import GenerationMixin
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    CausalLMOutputWithPast,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention import VARLEN
from .configuration_openelm import OpenELMConfig
from .layers import (
    OpenELMAttention,
    OpenELMDecoderLayer,
    OpenELMFeedForward,
    OpenELMRMSNorm,
    rotary_table,
)
from .packing import one_query_each, restarts, row_of_tweets


class OpenELMPreTrainedModel(PreTrainedModel):
    """Base class of OpenELM models: configuration, initialization, capabilities."""

    config_class = OpenELMConfig
    config: OpenELMConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ["OpenELMDecoderLayer"]
    _skip_keys_device_placement = ["past_key_values"]
    _keys_to_ignore_on_load_unexpected = [r"^transformer\.classifier\.weight$"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": OpenELMDecoderLayer, "attentions": OpenELMAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialize as in the paper: scaled by fan-in, residual outputs also scaled down by depth.

        The embedding uses `initializer_range`, as other models of transformers do.
        """
        dim, layers = self.config.model_dim, self.config.num_transformer_layers
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=self.config.initializer_range)
        elif isinstance(module, OpenELMRMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, nn.Linear):
            std = module.in_features**-0.5
            if module in (getattr(self, "score", None), getattr(self, "lm_head", None)):
                std = self.config.initializer_range
            elif self._adds_to_residual(module):
                std = dim**-0.5 * (2 * layers) ** -0.5
            init.normal_(module.weight, std=std)
            if module.bias is not None:
                init.zeros_(module.bias)

    def _adds_to_residual(self, linear: nn.Linear) -> bool:
        """Whether a projection writes to the residual stream.

        Checks the projection, because transformers does not pass modules without own parameters, such as the
        attention that contains it, to `_init_weights` for models outside its package.
        """
        return any(
            (isinstance(block, OpenELMAttention) and block.out_proj is linear)
            or (isinstance(block, OpenELMFeedForward) and block.proj_2 is linear)
            for block in self.modules()
        )


class OpenELMModel(OpenELMPreTrainedModel):
    """The decoder: token ids to final states."""

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.token_embeddings = nn.Embedding(config.vocab_size, config.model_dim)
        self.layers = nn.ModuleList(
            OpenELMDecoderLayer(config, i) for i in range(config.num_transformer_layers)
        )
        self.norm = OpenELMRMSNorm(config.model_dim, config.rms_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.token_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.token_embeddings = value  # type: ignore[assignment]

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        keep_rows: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Run the decoder.

        Args:
            input_ids: (B, T), or (1, N) packed.
            attention_mask: (B, T), 1 at real tokens; padding may be on either side. None for a packed row.
            position_ids: (B, T); a row is packed if its positions restart at 0.
            past_key_values: cache to extend; not allowed with a packed row.
            inputs_embeds: (B, T, D), instead of `input_ids`.
            use_cache: return a cache; ignored for a packed row.
            keep_rows: (B,) positions in a packed row whose final states are returned, (1, B, D). The last
                layer computes queries, output projection and feed-forward for these positions only.
            **kwargs: `cu_seq_lens_q`, `cu_seq_lens_k`, `max_length_q`, `max_length_k` of a packed row;
                `parents` of a prefix tree, for fused layers; and arguments of the attention implementation.

        Raises:
            ValueError: not exactly one of `input_ids` and `inputs_embeds`, or a cache with a packed row.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        hidden_states = self.token_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        starts = kwargs.get("cu_seq_lens_q")
        if starts is not None:
            if past_key_values is not None:
                raise ValueError(
                    "a packed row takes no past_key_values, because tweets would attend to each other"
                )
            kwargs.setdefault("cu_seq_lens_k", starts)
            total = hidden_states.shape[1]
            attention_mask, position_ids = row_of_tweets(starts, total, attention_mask, position_ids)
        unmasked = attention_mask is None and past_key_values is None
        packed = starts is not None or (unmasked and restarts(position_ids))
        use_cache = bool(use_cache) and not packed
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = torch.arange(hidden_states.shape[1], device=hidden_states.device)[None] + seen
        mask = self._causal_mask(hidden_states, attention_mask, past_key_values, position_ids, kwargs)
        shared = {
            "attention_mask": mask,
            "position_embeddings": rotary_table(
                position_ids, self.config.head_dim, self.config.rope_freq_constant
            ),
            "past_key_values": past_key_values,
            "position_ids": position_ids,
            **kwargs,
        }
        for layer in self.layers[:-1]:
            hidden_states = layer(hidden_states, **shared)
        if keep_rows is not None:
            shared |= one_query_each(keep_rows)
        hidden_states = self.norm(self.layers[-1](hidden_states, keep_rows=keep_rows, **shared))
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_states, past_key_values=past_key_values if use_cache else None
        )

    def _causal_mask(
        self,
        embeds: Tensor,
        mask: Tensor | None,
        cache: Cache | None,
        positions: Tensor,
        kwargs: dict[str, Any],
    ) -> Any:
        packed = self.config._attn_implementation == VARLEN and kwargs.get("cu_seq_lens_q") is not None
        if packed or kwargs.get("parents") is not None:
            return None  # cu_seq_lens, or the parents of a prefix tree, define the mask
        return create_causal_mask(
            config=self.config,
            inputs_embeds=embeds,
            attention_mask=mask,
            past_key_values=cache,
            position_ids=positions,
        )


class OpenELMForCausalLM(OpenELMPreTrainedModel, GenerationMixin):
    """The language model: the decoder and an output head, which can be tied to the embedding."""

    _tied_weights_keys = {"lm_head.weight": "transformer.token_embeddings.weight"}

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.transformer = OpenELMModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.model_dim, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.lm_head = value

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Next-token logits (B, T, V); with `labels` (B, T), also the mean loss.

        Labels of -100 are ignored. `logits_to_keep` is the number of last positions to return (0: all), or a
        tensor of positions. Other arguments are those of `OpenELMModel.forward`.
        """
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs
            )
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["OpenELMForCausalLM", "OpenELMModel", "OpenELMPreTrainedModel"]
