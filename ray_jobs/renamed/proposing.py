"""`ScoredReports` where the files of a search that began before the packages name it."""

from ray_jobs.search.searchers import ScoredReports

__all__ = ["ScoredReports"]
