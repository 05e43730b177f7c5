"""The functions of `import tweetelm`: `load`, `evaluate`, `compare`, `fine_tune`, `publish`."""
