"""OpenELM for transformers 5: backbone, language model, sequence classifier.

Written from the paper (arXiv 2404.14619) and the published checkpoints' keys and shapes.

Shapes: B rows (tweets), T tokens of a row, D model width, V vocabulary, K labels, N tokens of a packed row
(B tweets end to end in one row).
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
    SequenceClassifierOutputWithPast,
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
from .pooling import pool_packed, pool_padded, real_tokens


class OpenELMPreTrainedModel(PreTrainedModel):
    """What all OpenELM models share: configuration, initialisation, capabilities."""

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
        """The paper's initialisation: fan-in scaled, residual outputs scaled down by depth."""
        dim, layers = self.config.model_dim, self.config.num_transformer_layers
        into_residual = dim**-0.5 * (2 * layers) ** -0.5
        if isinstance(module, OpenELMAttention):
            init.normal_(module.out_proj.weight, std=into_residual)
        elif isinstance(module, OpenELMFeedForward):
            init.normal_(module.proj_2.weight, std=into_residual)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=dim**-0.5)
        elif isinstance(module, OpenELMRMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, nn.Linear):
            head = module in (getattr(self, "score", None), getattr(self, "lm_head", None))
            init.normal_(
                module.weight, std=self.config.initializer_range if head else module.in_features**-0.5
            )
            if module.bias is not None:
                init.zeros_(module.bias)


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
            attention_mask: (B, T), 1 at real tokens; either side may be padded. None for a packed row.
            position_ids: (B, T); restarting at 0 inside a row means that the row is packed.
            past_key_values: cache to extend; a packed row neither takes nor builds one.
            inputs_embeds: (B, T, D), in place of `input_ids`.
            use_cache: return a cache.
            keep_rows: (B,) positions in a packed row: return the final states of those alone, (1, B, D). The
            last
                layer then computes its queries, output projection and feed-forward for them only.
            **kwargs: `cu_seq_lens_q`, `cu_seq_lens_k`, `max_length_q`, `max_length_k` of a packed row, and
            what
                the attention implementation takes.

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds` are given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You must specify exactly one of input_ids or inputs_embeds")
        hidden_states = self.token_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        packed = past_key_values is None and _is_packed(position_ids, attention_mask, kwargs)
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
            shared |= _one_query_each(keep_rows)
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
        if self.config._attn_implementation == VARLEN and kwargs.get("cu_seq_lens_q") is not None:
            return None  # the row's boundaries say it all
        return create_causal_mask(
            config=self.config,
            inputs_embeds=embeds,
            attention_mask=mask,
            past_key_values=cache,
            position_ids=positions,
        )


def _is_packed(position_ids: Tensor | None, attention_mask: Tensor | None, kwargs: dict[str, Any]) -> bool:
    """Whether a row holds several tweets. A cache built from it would let them see each other."""
    if kwargs.get("cu_seq_lens_q") is not None:
        return True
    if position_ids is None or attention_mask is not None:
        return False
    return bool((position_ids.diff(dim=-1) != 1).any())


def _one_query_each(keep_rows: Tensor) -> dict[str, Any]:
    boundaries = torch.arange(len(keep_rows) + 1, dtype=torch.int32, device=keep_rows.device)
    return {"cu_seq_lens_q": boundaries, "max_length_q": 1}


class OpenELMForCausalLM(OpenELMPreTrainedModel, GenerationMixin):
    """The language model: the decoder and a head, by default the embedding itself."""

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
        """Next-token logits (B, T, V); with `labels` (B, T), -100 where nothing is predicted, also the mean
        loss.

        `logits_to_keep`: an int keeps that many last positions (0: all), a tensor those positions. The
        remaining
        arguments are `OpenELMModel.forward`'s.
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


class OpenELMForSequenceClassification(OpenELMPreTrainedModel):
    """The decoder and a linear classifier on the last token's state (or the mean, see
    `classifier_pooling`)."""

    accepts_loss_kwargs = (
        False  # the loss is a mean over tweets; transformers' Trainer must scale accumulation itself
    )

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.num_labels: int = len(config.id2label or ())
        self.transformer = OpenELMModel(config)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.score = nn.Linear(config.model_dim, self.num_labels, bias=False)
        self.post_init()

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
        **kwargs: Any,
    ) -> SequenceClassifierOutputWithPast:
        """Logits (B, K) of B tweets, padded (B, T) or packed (1, N) with `cu_seq_lens_q`; `labels` (B,) add
        the loss.

        Without an attention mask, tokens equal to `config.pad_token_id` at the end count as padding, if it
        is set.
        The remaining arguments are `OpenELMModel.forward`'s.
        """
        starts = kwargs.get("cu_seq_lens_q")
        keep_rows = self._last_rows(starts, kwargs)
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            keep_rows=keep_rows,
            **kwargs,
        )
        states = outputs.last_hidden_state
        if keep_rows is not None:
            pooled = states[0]
        elif starts is not None:
            pooled = pool_packed(states[0], starts, self.config.classifier_pooling)
        else:
            real = real_tokens(states, input_ids, attention_mask, self.config.pad_token_id)
            pooled = pool_padded(states, real, self.config.classifier_pooling)
        logits = self._classify(pooled)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _last_rows(self, starts: Tensor | None, kwargs: dict[str, Any]) -> Tensor | None:
        """Each tweet's last row, where the last layer can do with those alone."""
        whole = kwargs.get("output_hidden_states") or self.config.output_hidden_states
        projection = self.transformer.layers[-1].get_submodule("attn.qkv_proj")
        plain = type(projection) is nn.Linear  # an adapter may stand in its place
        if starts is None or whole or not plain or self.config.classifier_pooling != "last":
            return None
        return starts[1:].long() - 1 if self.config._attn_implementation == VARLEN else None

    def _classify(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, K), in the classifier's own precision whatever autocast says."""
        with torch.autocast(pooled.device.type, enabled=False):
            return self.score(self.dropout(pooled).to(self.score.weight.dtype))


__all__ = ["OpenELMForCausalLM", "OpenELMForSequenceClassification", "OpenELMModel", "OpenELMPreTrainedModel"]
