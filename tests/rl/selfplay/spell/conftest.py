"""A small game of SPELL."""

import pytest

from rewards.selfplay.questioner import GaussianDifficulty
from rewards.selfplay.verifier import VerifierVote
from rl.selfplay.spell.game import Spell
from rl.selfplay.spell.settings import SpellSettings
from rl.selfplay.tasks.document_qa import DocumentQA
from rl.selfplay.tasks.multiple_choice import MultipleChoice

SMALL = {
    "num_questions": 8,
    "group_size": 4,
    "num_judgments": 4,
    "proposals_per_batch": 12,
    "num_new_documents": 2,
}


@pytest.fixture
def make_spell(make_topics):
    def make(tasks=None, **settings):
        tasks = tasks or [DocumentQA(), MultipleChoice()]
        return Spell(
            tasks=tasks,
            topics={task.name: make_topics() for task in tasks},
            question_reward=GaussianDifficulty(),
            judgment_reward=VerifierVote(),
            settings=SpellSettings(**{**SMALL, **settings}),
            seed=3,
        )

    return make
