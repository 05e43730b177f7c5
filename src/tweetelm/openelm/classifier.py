"""The OpenELM sequence classifier.

Shapes: B tweets, T tokens of the longest tweet, N tokens of all tweets, D model width, K labels.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.modeling_outputs import SequenceClassifierOutputWithPast
from transformers.utils.generic import can_return_tuple

from .attention import VARLEN
from .configuration_openelm import OpenELMConfig
from .layers import OpenELMDecoderLayer
from .modeling_openelm import OpenELMModel, OpenELMPreTrainedModel
from .pooling import pool_packed, pool_padded, real_tokens


class OpenELMForSequenceClassification(OpenELMPreTrainedModel):
    """The decoder with a linear classifier on one pooled state per tweet; see `classifier_pooling`."""

    # The loss is a mean over tweets; with False, transformers' Trainer scales accumulated steps.
    accepts_loss_kwargs = False

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
        keep_rows: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutputWithPast:
        """Logits (B, K) of B tweets: padded (B, T), packed (1, N) with `cu_seq_lens_q`, or a `PrefixTree`.

        With `labels` (B,), also the loss.

        Without an attention mask, tokens equal to `config.pad_token_id` are padding, if it is set. Builds a
        cache only if `use_cache` is true. `keep_rows` (B,) are the tweets' last tokens in a tree. Other
        arguments are those of `OpenELMModel.forward`.
        """
        starts = kwargs.get("cu_seq_lens_q")
        if keep_rows is None:
            keep_rows = self._last_rows(starts, kwargs)
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=bool(use_cache),
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
        """The last row of each tweet (B,), if the last layer can compute only those; else None."""
        all_rows = kwargs.get("output_hidden_states") or self.config.output_hidden_states
        layer = self.transformer.layers[-1]
        adapted = isinstance(layer, OpenELMDecoderLayer) and type(layer.attn.qkv_proj) is not nn.Linear
        if starts is None or all_rows or adapted or self.config.classifier_pooling != "last":
            return None
        return starts[1:].long() - 1 if self.config._attn_implementation == VARLEN else None

    def _classify(self, pooled: Tensor) -> Tensor:
        """(B, D) -> (B, K), in the precision of the classifier's weights, without autocast."""
        with torch.autocast(pooled.device.type, enabled=False):
            logits = self.score(self.dropout(pooled).to(self.score.weight.dtype))
        temperature = self.config.classifier_temperature
        return logits if temperature == 1 else logits / temperature


__all__ = ["OpenELMForSequenceClassification"]
