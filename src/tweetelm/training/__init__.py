"""Training: what is learnt from which rows, in which order, and how it is saved and resumed."""
