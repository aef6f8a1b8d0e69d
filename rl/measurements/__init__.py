"""What our savings save, measured against what they replace: as ratios within one run."""
