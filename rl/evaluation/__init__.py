"""Evaluation on labelled problems: sampling, grading, pass@k, avg@n, maj@k and their intervals."""
