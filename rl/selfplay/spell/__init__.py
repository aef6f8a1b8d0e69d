"""SPELL: one policy asks questions about documents, answers them and judges the answers."""
