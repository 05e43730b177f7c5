"""Training, search and evaluation as Ray jobs, run as modules: `python -m ray_jobs.train --help`."""

from pathlib import Path

__path__.append(str(Path(__file__).with_name("renamed")))  # former command names still work
