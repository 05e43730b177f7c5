"""Training, search and evaluation as Ray jobs, run as modules: `python -m ray_jobs.train --help`."""
