"""Guards: watch a run step by step, without a label, and say when it goes wrong and what to do."""
