"""Archives of tweets: reads tables of any size in fragments, classifies them, adds columns.

Knows nothing of Ray: `ray_jobs.classify_files` spreads the fragments over a cluster.
"""
