"""ASGI middleware: authentication, limits, errors and the access log."""
