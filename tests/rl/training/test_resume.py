"""What is in a checkpoint beside TRL's; whole runs are resumed in tests/end_to_end/."""

from types import SimpleNamespace

import torch

from rl.training.resume import load_buffer, save_buffer, save_memories


def rank(number, num_ranks=1):
    return SimpleNamespace(
        process_index=number,
        num_processes=num_ranks,
        is_main_process=number == 0,
        device=torch.device("cpu"),
    )


class Counter:
    def state_dict(self):
        return {"seen": 3}


def test_the_rows_come_back_to_their_rank(tmp_path):
    for number in (0, 1):
        rows = {"completion_ids": torch.full((2, 3), number), "num_items_in_batch": torch.tensor(6)}
        save_buffer(tmp_path, rank(number), [rows, rows])
    found = load_buffer(tmp_path, rank(1, 2), 2)
    assert [batch["completion_ids"].tolist() for batch in found] == [[[1, 1, 1]] * 2] * 2
    assert found[0]["num_items_in_batch"] == 6


def test_rows_that_do_not_fit_are_sampled_again(tmp_path):
    save_buffer(tmp_path, rank(0), None)  # all used up
    assert list(tmp_path.iterdir()) == []
    assert load_buffer(tmp_path, rank(0), 2) is None
    save_buffer(tmp_path, rank(0), [{}, {}])
    assert load_buffer(tmp_path, rank(0), 4) is None
    assert load_buffer(tmp_path, rank(0), 2) == [{}, {}]
    # On other ranks as many micro-batches may be needed; each rank has to know that they are not.
    assert load_buffer(tmp_path, rank(0, 2), 2) is None
    save_buffer(tmp_path, rank(1), [{}, {}])
    assert load_buffer(tmp_path, rank(0), 2) is None


def test_memories_are_written_once(tmp_path):
    save_memories(tmp_path, rank(1), {"counter": Counter()}, None)
    assert list(tmp_path.iterdir()) == []
    save_memories(tmp_path, rank(0), {"counter": Counter()}, None)
    assert (tmp_path / "signal_state.json").read_text() == '{"counter": {"seen": 3}}'


def test_rows_whose_images_are_of_another_data_set_are_sampled_again(tmp_path):
    save_buffer(tmp_path, rank(0), [{"image_row": torch.tensor([0])}])
    assert load_buffer(tmp_path, rank(0), 1) is not None
    assert load_buffer(tmp_path, rank(0), 1, fits=False) is None
