"""One module per protocol; each holds an APIRouter that `serve.api` includes."""
