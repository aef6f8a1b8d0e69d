"""Rewards of self-play's roles, and the games a recipe can name."""
