"""The HTTP service: `api` builds a FastAPI application over an `Engine`, and `app` deploys it on Ray
Serve."""
