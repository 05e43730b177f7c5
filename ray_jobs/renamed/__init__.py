"""Former names of modules: `python -m ray_jobs.NAME` of old commands, and what old pickles name."""
