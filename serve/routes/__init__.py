"""The HTTP routes: one module per protocol, each with an APIRouter that `serve.api` includes."""
