"""Groups of rollouts: whole on any rank layout, scored once, turned into advantages and metrics."""
