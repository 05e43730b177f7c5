"""What stands around the routes, in layers of ASGI."""
