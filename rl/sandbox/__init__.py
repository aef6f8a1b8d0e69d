"""A sandbox for programs that a model wrote: no file, network or process of the machine, limits."""

from rl.sandbox.isolation import Limits
from rl.sandbox.pool import (
    LIMITS,
    PACKAGES,
    ProgramResult,
    close_sandbox,
    require_sandbox,
    run_programs,
)

__all__ = [
    "LIMITS",
    "PACKAGES",
    "Limits",
    "ProgramResult",
    "close_sandbox",
    "require_sandbox",
    "run_programs",
]
