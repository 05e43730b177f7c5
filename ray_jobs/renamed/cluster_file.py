"""`python -m ray_jobs.cluster_file`, the former name of `python -m ray_jobs.cluster.config_file`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("ray_jobs.cluster.config_file", run_name="__main__", alter_sys=True)
