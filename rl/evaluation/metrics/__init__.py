"""From graded samples to numbers: estimators, intervals, summaries, paired comparisons."""
