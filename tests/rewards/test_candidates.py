"""Which rollout stands for an answer, by hand."""

from dataclasses import replace

from rewards.candidates import candidates, completion_key
from rl.types import Group, Rollout


def rollout(completion, answer, cluster, num_tokens=3, truncated=False):
    return Rollout(
        completion=completion,
        answer=answer,
        cluster=cluster,
        num_tokens=num_tokens,
        truncated=truncated,
    )


def test_nobody_answered(make_group):
    assert candidates(make_group([])) == []
    assert candidates(make_group([None, None])) == []


def test_one_that_ended_then_the_shortest_stands_for_its_answer():
    rollouts = (
        rollout("so 2", "2", 0, 2, truncated=True),
        rollout("we get 2", "2", 0, 9),
        rollout("it is 2.0", "2.0", 0, 5),
        rollout("is it 2.0", "2.0", 0, 5),  # as long: the text decides
        rollout("no idea", None, None, 1),
        rollout("3", "3", 1),
    )
    group = Group(prompt_id="p", prompt="1+1=", rollouts=rollouts)
    found = {c.cluster: c for c in candidates(group)}
    assert (found[0].answer, found[0].completion, found[0].num_votes) == ("2.0", "is it 2.0", 4)
    assert (found[1].answer, found[1].completion, found[1].num_votes) == ("3", "3", 1)
    assert found[0].key == completion_key(rollouts[3])
    # In another order the same are shown, in the same order.
    turned = tuple(
        replace(r, cluster=None if r.cluster is None else 1 - r.cluster) for r in rollouts[::-1]
    )
    shown = [c.completion for c in candidates(replace(group, rollouts=turned))]
    assert shown == [c.completion for c in candidates(group)]
