"""Training: what is learned from which rows, in which order, and how it is saved and resumed."""
