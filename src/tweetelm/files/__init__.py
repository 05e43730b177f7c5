"""Files and object storage: atomic writes, locks, downloads, hashes, JSON, paths and names."""
