"""The engine: groups, answers, rollouts, trainer, evaluation. It knows no concrete reward."""
