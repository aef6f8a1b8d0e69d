"""Gradient masks: which rows of the linear layers an update changes; one file a rule."""
