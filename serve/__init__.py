"""The HTTP service: `api` is a FastAPI application over an `Engine`, `app` runs it on Ray Serve."""
