"""Samples in the formats of other evaluation tools: written for their readers, and read."""
