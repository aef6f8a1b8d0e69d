"""A reward for tests: runs a program made of each completion of an untrained model."""

from rl.sandbox import run_programs


def first_character_program(group):
    """Pay what the program prints: a number made of the completion's first character."""
    programs = [f"print(sum({r.completion[:1]!r}.encode()) % 5)" for r in group.rollouts]
    return [float(result.stdout) for result in run_programs(programs)]
