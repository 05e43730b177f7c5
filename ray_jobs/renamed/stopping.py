"""`EndWhenTrialsHaveLeft` where the files of a search that began before the packages name it."""

from ray_jobs.fault_tolerance.signals import ExitAfterTrials as EndWhenTrialsHaveLeft

__all__ = ["EndWhenTrialsHaveLeft"]
