"""Unused rows beside a checkpoint; whole runs are resumed in tests/end_to_end/test_resume.py."""

import torch

from rl.training.resume import load_buffer, save_buffer

CPU = torch.device("cpu")


def test_the_rows_come_back_to_their_rank(tmp_path):
    for rank in (0, 1):
        rows = {"completion_ids": torch.full((2, 3), rank), "num_items_in_batch": torch.tensor(6)}
        save_buffer(tmp_path, rank, [rows, rows])
    found = load_buffer(tmp_path, 1, 2, CPU)
    assert [batch["completion_ids"].tolist() for batch in found] == [[[1, 1, 1]] * 2] * 2
    assert found[0]["num_items_in_batch"] == 6


def test_rows_that_do_not_fit_are_sampled_again(tmp_path):
    assert load_buffer(tmp_path, 0, 2, CPU) is None
    save_buffer(tmp_path, 0, [{}, {}])
    assert load_buffer(tmp_path, 0, 4, CPU) is None
