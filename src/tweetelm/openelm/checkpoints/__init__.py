"""Download, inspection and loading of checkpoints and tokenizers."""
