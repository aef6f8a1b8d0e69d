"""A training run: settings, checks, engines, TRL's trainer with our batches, and its files."""
