"""Data as text: prompts, tables, JSON lines; a label, if there is one, is split off here."""
