"""How the models are run and watched."""
