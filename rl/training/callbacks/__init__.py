"""What happens beside the steps of a run: its progress bar, its evaluations."""
