"""The measurement of shared pictures, on a tiny model and few rows."""

import sys
from pathlib import Path

from measurements.pictures import measure_picture_update, prepare_update

sys.path.insert(0, str(Path(__file__).parents[2] / "rl"))
import tiny_vision

SETTINGS = {
    "num_prompts": 2,
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "rewards": {"random": {}},
    "max_completion_length": 4,
    "max_sampling_logp_gap": 1e9,  # a random model would say the tokens of images too
}


def test_the_same_rollouts_are_updated_on_both_ways(tmp_path):
    tiny_vision.save(tmp_path / "model")
    path = Path(tiny_vision.write_dataset(tmp_path, [("1+1=", [0]), ("2=", [1, 2])]))
    path.rename(tmp_path / "train.jsonl")
    (shared, rows), (plain, same) = (
        prepare_update(tmp_path, str(tmp_path / "run"), shares, SETTINGS)
        for shares in (True, False)
    )
    assert (shared.compact.shares_prompts, plain.compact.shares_prompts) == (True, False)
    completions = [
        sorted(row for batch in batches for row in batch["completion_ids"].tolist())
        for batches in (rows, same)
    ]
    assert completions[0] == completions[1]
    found = measure_picture_update(tmp_path, 2, **SETTINGS)
    assert found.name == "update, 2 prompts with a picture, 4 completions of each: shared / not"
    assert len(found.values) == 2
    assert min(found.values) > 0
