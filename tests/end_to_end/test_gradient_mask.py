"""A gradient mask chooses the same rows on one and on two ranks."""

from launching import launch, load_policy, one_process, ranks, read_metrics
from transformers import AutoModelForCausalLM

SETTINGS = {
    "gradient_mask": {"migu": {"threshold": 0.7}},
    "num_updates": 1,
    "per_device_train_batch_size": 4,
    "max_steps": 1,
    "save_strategy": "no",
    "learning_rate": 1e-2,
}


def test_ranks_update_the_same_rows(recipe, tiny_model_folder, tmp_path):
    one = launch(one_process(), recipe, tmp_path / "1", **SETTINGS)
    two = launch(ranks(2), recipe, tmp_path / "2", **SETTINGS)
    before = dict(AutoModelForCausalLM.from_pretrained(tiny_model_folder).named_parameters())
    moved = {
        folder: {
            name: (parameter != before[name]).any(dim=-1)
            for name, parameter in load_policy(folder).named_parameters()
            if "_proj" in name
        }
        for folder in (one, two)
    }
    rows = [
        (here, there) for here, there in zip(*(m.values() for m in moved.values()), strict=True)
    ]
    assert len(rows) == 14
    num_rows = sum(len(here) for here, _ in rows)
    num_moved = sum(int(here.sum()) for here, _ in rows)
    assert 0.25 < num_moved / num_rows < 0.35
    # Sums round differently, which may turn a row at the border.
    assert sum(int((here != there).sum()) for here, there in rows) <= 0.01 * num_rows
    fractions = [read_metrics(folder)[0]["signal/masked_frac"] for folder in (one, two)]
    assert fractions[0] == fractions[1]
