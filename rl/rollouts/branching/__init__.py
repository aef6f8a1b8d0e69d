"""Completions that begin as another one and leave it at a chosen token: fewer tokens a vote."""
