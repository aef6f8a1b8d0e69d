"""How samples are shared out over ranks, counted by hand."""

from collections import Counter

import pytest

from rl.selfplay.sampler import Share, share_out


def test_one_rank_samples_everything_at_once():
    [share] = share_out(3, 5, 0, 1)
    assert (list(share.requests), share.first_sample) == ([0, 1, 2], 0)
    assert (share.num_samples, share.num_kept) == (5, 5)


def test_ranks_share_the_samples_of_one_request():
    # R-Zero asks for 256 problems with one prompt.
    assert [share_out(1, 256, rank, 2) for rank in (0, 1)] == [
        [Share(requests=[0], first_sample=0, num_samples=128, num_kept=128)],
        [Share(requests=[0], first_sample=128, num_samples=128, num_kept=128)],
    ]
    # Seven samples in four parts of two, the last of one.
    parts = [share_out(1, 7, rank, 4)[0] for rank in range(4)]
    assert [(part.first_sample, part.num_kept) for part in parts] == [
        (0, 2),
        (2, 2),
        (4, 2),
        (6, 1),
    ]


def test_what_is_left_over_is_cut():
    # Five requests on two ranks: two each, and half of the fifth.
    first, second = share_out(5, 8, 1, 2)
    assert (list(first.requests), first.num_samples) == ([1, 3], 8)
    assert (second.requests, second.first_sample, second.num_kept) == ([4], 4, 4)
    # Two of one sample on three ranks: the third rank samples the first again.
    assert [share_out(2, 1, rank, 3)[0].num_kept for rank in range(3)] == [1, 1, 0]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
def test_each_sample_is_kept_once_and_calls_are_alike(num_ranks):
    for num_requests in range(1, 20):
        for num_samples in (1, 2, 5, 8):
            ranks = [share_out(num_requests, num_samples, r, num_ranks) for r in range(num_ranks)]
            kept = Counter(
                (request, share.first_sample + i)
                for shares in ranks
                for share in shares
                for request in share.requests
                for i in range(share.num_kept)
            )
            expected = {(r, i) for r in range(num_requests) for i in range(num_samples)}
            assert kept.keys() == expected
            assert set(kept.values()) == {1}
            sizes = {tuple((len(s.requests), s.num_samples) for s in shares) for shares in ranks}
            assert len(sizes) == 1
