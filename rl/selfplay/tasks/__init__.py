"""What is asked in self-play: a task reads questions and answers and has a rule check."""
