"""OpenELM tweet classifiers: data, training, evaluation, prediction and the registry between them."""

__version__ = "0.1.0"
