"""Where versions are stored: a file system or object storage."""
