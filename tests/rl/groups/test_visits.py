"""Whole groups from rows in any layout; which rollouts are trained."""

import random

import pytest

from rl.groups.visits import VisitKey, choose_trained, find_visits, neighbours, shard

A, B = VisitKey("p", "0-0"), VisitKey("p", "0-1")
C = VisitKey("q", "0-2")


def test_no_rows_no_visits():
    assert find_visits([], num_generations=4) == {}


def test_a_visit_is_not_a_prompt():
    # A and B are two visits to prompt p in one batch.
    assert find_visits([A, A, B, B], num_generations=2) == {A: [0, 1], B: [2, 3]}


def test_position_does_not_identify_a_group():
    # Two ranks of three rows: the visit of rows 2 and 3 lies on both.
    assert find_visits([A, A, B, B, C, C], num_generations=2)[B] == [2, 3]
    rows = [A, B, C] * 4
    random.Random(0).shuffle(rows)
    visits = find_visits(rows, num_generations=4)
    assert sorted(position for positions in visits.values() for position in positions) == [
        *range(12)
    ]
    assert all(rows[position] == key for key, positions in visits.items() for position in positions)


@pytest.mark.parametrize("rows", [[A], [A, A, B], [A, A, A], [A, A, B, B, B, C]])
def test_a_group_in_pieces_stops_the_run(rows):
    with pytest.raises(RuntimeError, match=r"rows of visit 0-\d: got [13], expected 2"):
        find_visits(rows, num_generations=2)


@pytest.mark.parametrize("share", [shard, neighbours])
@pytest.mark.parametrize(("num_items", "num_shards"), [(0, 3), (1, 3), (7, 1), (7, 2), (7, 3)])
def test_each_item_is_in_exactly_one_shard(num_items, num_shards, share):
    items = list(range(num_items))
    shards = [share(items, index, num_shards) for index in range(num_shards)]
    assert sorted(item for part in shards for item in part) == items
    sizes = [len(part) for part in shards]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("num_shards", [1, 2, 3, 5])
def test_what_belongs_together_is_in_one_run(num_shards):
    items = [(problem, view) for problem in range(4) for view in range(3)]
    runs = [neighbours(items, index, num_shards, size=3) for index in range(num_shards)]
    assert [item for run in runs for item in run] == items
    assert all([view for _, view in run] == [0, 1, 2] * (len(run) // 3) for run in runs)


@pytest.mark.parametrize("rule", ["first", "random"])
def test_all_are_trained_where_votes_and_rows_are_as_many(rule):
    assert choose_trained(1, 1, rule, seed=0) == [0]
    assert choose_trained(4, 4, rule, seed=3) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="num_votes: got 3, expected at least 4"):
        choose_trained(3, 4, rule, seed=0)


def test_first():
    assert choose_trained(8, 3, "first", seed=5) == [0, 1, 2]


def test_random_follows_from_the_seed_and_favours_no_rollout():
    chosen = [choose_trained(8, 2, "random", seed) for seed in range(2000)]
    assert chosen == [choose_trained(8, 2, "random", seed) for seed in range(2000)]
    assert all(a < b for a, b in chosen)
    counts = [sum(g in pair for pair in chosen) for g in range(8)]
    # Each is chosen with probability 1/4: 500 of 2000, standard deviation 19.4.
    assert all(abs(count - 500) < 5 * 19.4 for count in counts)
