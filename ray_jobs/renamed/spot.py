"""`python -m ray_jobs.spot`, the former name of `python -m ray_jobs.cluster.spot_watcher`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("ray_jobs.cluster.spot_watcher", run_name="__main__", alter_sys=True)
