"""`python -m ray_jobs.real`, the former name of `python -m ray_jobs.reproduce`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("ray_jobs.reproduce", run_name="__main__", alter_sys=True)
