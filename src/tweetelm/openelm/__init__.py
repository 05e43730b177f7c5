"""OpenELM for transformers. Importing this package registers the model with the Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification

from .classifier import OpenELMForSequenceClassification
from .configuration_openelm import OpenELMConfig
from .modeling_openelm import OpenELMForCausalLM, OpenELMModel, OpenELMPreTrainedModel

AutoConfig.register("openelm", OpenELMConfig)
AutoModel.register(OpenELMConfig, OpenELMModel)
AutoModelForCausalLM.register(OpenELMConfig, OpenELMForCausalLM)
AutoModelForSequenceClassification.register(OpenELMConfig, OpenELMForSequenceClassification)

# Makes save_pretrained write the code and an auto_map, so that a model loads without this package.
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
