"""`python -m ray_jobs.stop_workers`, the former name of `python -m ray_jobs.cluster.stop_workers`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("ray_jobs.cluster.stop_workers", run_name="__main__", alter_sys=True)
