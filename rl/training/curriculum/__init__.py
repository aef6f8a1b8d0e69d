"""Curricula: which prompts come next, and which sampled groups teach; one file a rule."""
