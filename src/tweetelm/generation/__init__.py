"""Machine-written tweets: prompts from human tweets, sampling with a causal language model, filters, a card.

Nothing here knows Ray or HTTP; `ray_jobs.generate` runs it.
"""
