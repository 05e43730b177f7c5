"""`Watch` where the files of a search that began before the packages name it."""

from ray_jobs.search.progress import Watch

__all__ = ["Watch"]
