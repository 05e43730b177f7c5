"""What goes into a model and what comes out: texts, tables, predictions, explanations. No torch."""
