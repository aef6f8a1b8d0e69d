"""One HTML page about runs and evaluations: results, curves, settings, costs and rollouts."""
