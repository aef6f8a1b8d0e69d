"""Self-play: one policy in several roles writes questions, answers them and judges the answers."""
