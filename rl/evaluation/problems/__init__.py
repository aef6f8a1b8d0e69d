"""Labelled problems: the known benchmarks, where their rows are, how a model is asked."""
