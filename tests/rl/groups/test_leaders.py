"""Leading answers from visit to visit: which count, which flip, what a checkpoint keeps."""

import json

from rl.groups.leaders import SPAN, LeaderMemory
from rl.types import Group, Rollout


def group(prompt, *answers):
    numbers = {a: i for i, a in enumerate(dict.fromkeys(a for a in answers if a is not None))}
    return Group(
        prompt_id=prompt,
        prompt=prompt,
        rollouts=tuple(Rollout(completion="", answer=a, cluster=numbers.get(a)) for a in answers),
    )


def test_a_first_visit_says_nothing_and_no_answer_is_no_leader():
    memory = LeaderMemory()
    assert memory.visit([], 0) == {}
    assert memory.visit([group("p", "1", "1", "2"), group("q", None, None)], 0) == {}
    assert list(memory.leaders) == ["p"]
    assert memory.visit([group("q", "1", "1")], 1) == {}


def test_flips_of_settled_and_of_open_prompts():
    memory = LeaderMemory()
    memory.visit(
        [
            group("settled", "1", "1", "1", "2"),
            group("kept", "0.5", "0.5", "0.5", "2"),
            group("lost", "7", "7", "7", "7"),
            group("open", "1", "2", "3", "4"),  # a quarter of the votes
            group("few", "1", "1"),  # half of the votes, but two
        ],
        3,
    )
    found = memory.visit(
        [
            group("settled", "2", "2", "1", "1"),  # of two largest classes the first
            group("kept", "1/2", "1/2", "3", "3"),  # the same number, written otherwise
            group("lost", None, None, None, None),
            group("open", "4", "4", "4", "4"),
            group("few", "2", "2"),
        ],
        10,
    )
    # Four of five flip; of the three settled ones two, 7 steps later.
    assert found == {
        "vote/flip_frac": 0.8,
        "vote/num_settled": 3,
        "vote/settled_flips": 2,
        "vote/settled_gap": 7,
    }


def test_a_leader_stands_for_a_span_of_steps():
    memory = LeaderMemory()
    first, second = group("p", "1", "1", "1"), group("p", "2", "2", "2")
    memory.visit([first], 0)
    assert memory.visit([second], SPAN - 1)["vote/settled_flips"] == 1
    assert memory.visit([second], SPAN)["vote/settled_flips"] == 1  # and is remembered
    assert memory.visit([second], SPAN + 1)["vote/settled_flips"] == 0


def test_the_memory_survives_a_checkpoint():
    memory, resumed = LeaderMemory(), LeaderMemory()
    memory.visit([group("p", "1", "1", "1")], 4)
    resumed.load_state_dict(json.loads(json.dumps(memory.state_dict())))
    for one in (memory, resumed):
        assert one.visit([group("p", "2", "1", "2")], 9) == {
            "vote/flip_frac": 1,
            "vote/num_settled": 1,
            "vote/settled_flips": 1,
            "vote/settled_gap": 5,
        }
    assert memory.leaders == resumed.leaders
