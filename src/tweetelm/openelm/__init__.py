"""OpenELM, native to transformers: importing this package registers it with the Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from .classifier import OpenELMForSequenceClassification
from .configuration_openelm import OpenELMConfig
from .modeling_openelm import OpenELMForCausalLM, OpenELMModel, OpenELMPreTrainedModel

AutoConfig.register("openelm", OpenELMConfig)
AutoModel.register(OpenELMConfig, OpenELMModel)
AutoModelForCausalLM.register(OpenELMConfig, OpenELMForCausalLM)
AutoModelForSequenceClassification.register(OpenELMConfig, OpenELMForSequenceClassification)

# save_pretrained then writes the code and an auto_map, for machines without this package.
OpenELMConfig.register_for_auto_class()
OpenELMModel.register_for_auto_class("AutoModel")
OpenELMForCausalLM.register_for_auto_class("AutoModelForCausalLM")
OpenELMForSequenceClassification.register_for_auto_class("AutoModelForSequenceClassification")

__all__ = [
    "OpenELMConfig",
    "OpenELMForCausalLM",
    "OpenELMForSequenceClassification",
    "OpenELMModel",
    "OpenELMPreTrainedModel",
]
