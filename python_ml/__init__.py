"""Train, weigh, version, score and watch ensembles on warehouse tables."""
