"""Own code as a weight of votes: a vote counts more if the completion's own program confirms it.

Source: ours, after T3RL (arXiv 2603.02203), whose verifier writes the program; a completion of
    tool-integrated reasoning holds one already, which costs no token more.
Fails when: the policy learns to write programs that print what it has decided on. When all do, all
    votes weigh alike again and this is the plain vote: look at `verified_frac`.
"""

from dataclasses import dataclass

from rewards.code_checks import Check, OwnPrograms, check_answers, check_metrics, own_programs
from rl.settings import checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class OwnCode(OwnPrograms):
    """Weigh a vote more if running the completion's own code prints its answer.

    w_i = omega if the program of rollout i finishes and prints answer_i, else 1

    The program is all of the completion's blocks marked python, in their order, as a notebook runs
    them: in `rl.sandbox`, without network, files and memory of the machine. A completion without
    one, and one whose program fails or says something else, counts for 1.

    Its settings are those of `rewards.code_checks.OwnPrograms`.
    """

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes: 1 or omega."""
        return [self.omega if check.is_verified else 1.0 for check in self._checks(group)]

    def group_metrics(self, group: Group) -> dict[str, float]:
        """Count what the programs did (`rewards.code_checks.check_metrics`)."""
        return check_metrics(self._checks(group))

    def _checks(self, group: Group) -> list[Check]:
        answers = [rollout.answer for rollout in group.rollouts]
        return check_answers(own_programs(group), answers, self.max_seconds, self.max_group_seconds)
