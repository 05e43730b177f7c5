"""Dynamic batching, model loading and readiness of a replica."""
