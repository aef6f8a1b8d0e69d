"""Prompts of former ranks as those of others; runs that go on so are in test_prompts_ahead.py."""

from rl.training.other_ranks import deal_anew

ROWS = {n: [10 * n + i for i in range(4)] for n in range(5)}  # four prompts a batch


def part(next_position, asked=(), forgotten=(), taken=(), rows=None):
    entries = [{"position": p, "row": row, "batch": batch, "samples": p} for p, row, batch in asked]
    more = {"rows": rows} if rows else {}
    return {
        "next_position": next_position,
        "asked": entries,
        "forgotten": list(forgotten),
        "taken": list(taken),
        **more,
    }


def dealt(saved, num_ranks, **more):
    """For each rank (position, row, samples), where nothing is sampled None."""
    found = []
    for rank in range(num_ranks):
        told = deal_anew(saved, rank, num_ranks, 4, ROWS.__getitem__, **more)
        assert told["rows"].keys() == {e["position"] for e in told["asked"]} | {*told["forgotten"]}
        rows = told["rows"]
        of_rank = [(e["position"], rows[e["position"]], e["samples"]) for e in told["asked"]]
        of_rank += [(position, rows[position], None) for position in told["forgotten"]]
        found.append((told["next_position"], sorted(of_rank)))
    return found


def test_two_ranks_become_one():
    # Batch 2 is due; of batch 1 its row 12 was slow, of batch 3 each rank has asked for its first.
    first = part(7, [(4, 20, 1), (5, 21, 1), (6, 30, 1)])
    second = part(7, [(2, 12, 0), (4, 22, 1), (5, 23, 1), (6, 32, 1)], taken=[3])
    [(end, found)] = dealt([first, second], 1)
    assert end == 16  # batches 0 to 3
    assert found == [
        (4, 12, 2),
        (8, 20, 4),
        (9, 21, 5),
        (10, 22, 4),
        (11, 23, 5),
        (12, 30, 6),
        (13, 32, 6),
        (14, 31, None),  # what was not asked for yet
        (15, 33, None),
    ]
    # Where the newest batch is made once more, what it took is asked for too.
    [(_, again)] = dealt([first, second], 1, is_within=True)
    assert set(again) - set(found) == {(5, 13, None)}


def test_one_rank_becomes_two_and_those_one_again():
    asked = [(p, 20 + p - 8, 1) for p in range(8, 12)] + [(12, 30, 1), (13, 31, 1)]
    one = part(14, asked, forgotten=[7])
    two = dealt([one], 2)
    # In turn: 13 of batch 1 to the first rank, 20 to the second, ...
    assert two == [
        (8, [(2, 13, None), (4, 21, 9), (5, 23, 11), (6, 31, 13), (7, 33, None)]),
        (8, [(4, 20, 8), (5, 22, 10), (6, 30, 12), (7, 32, None)]),
    ]
    saved = [deal_anew([one], rank, 2, 4, ROWS.__getitem__) for rank in range(2)]
    [(end, found)] = dealt(saved, 1)
    assert end == 16
    assert sorted(row for _, row, _ in found) == [13, 20, 21, 22, 23, 30, 31, 32, 33]
    assert {row for _, row, samples in found if samples is None} == {13, 32, 33}


def test_a_rank_without_prompts():
    # Of four prompts five ranks have 0, 1, 1, 1 and 1.
    saved = [part(0), *(part(3, [(2, 20 + i, 0)]) for i in range(4))]
    [(end, found)] = dealt(saved, 1)
    assert (end, found) == (12, [(8 + i, 20 + i, 2) for i in range(4)])
