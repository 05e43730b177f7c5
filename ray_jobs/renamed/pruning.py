"""`Pruner` where the files of a search that began before the packages name it."""

from ray_jobs.search.asha import Pruner

__all__ = ["Pruner"]
