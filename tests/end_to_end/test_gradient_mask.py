"""A gradient mask changes the same rows of the same weights under any launch."""

import shutil

import pytest
from killed_runs import comparable
from launching import LAUNCHERS, STORED_SAMPLES, launch, load_policy, read_metrics
from transformers import AutoModelForCausalLM

SETTINGS = {
    **STORED_SAMPLES,
    "gradient_mask": {"migu": {"threshold": 0.7}},
    "max_grad_norm": 0.1,  # all gradients are clipped, by the norm of the whole
}


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    """The folder of a run under a launch, each of which is run once."""
    found = {}

    def run(name):
        if name not in found:
            folder = tmp_path_factory.mktemp("masked") / name
            found[name] = launch(LAUNCHERS[name], recipe, folder, **SETTINGS)
        return found[name]

    return run


def weights(folder):
    """The masked weights of a trained model, by name."""
    parameters = load_policy(folder).named_parameters()
    return {name: parameter.detach() for name, parameter in parameters if "_proj" in name}


@pytest.fixture
def moved(tiny_model_folder):
    """Say which rows of all masked weights are not, bit by bit, what they were before a run."""
    before = dict(AutoModelForCausalLM.from_pretrained(tiny_model_folder).named_parameters())

    def moved(folder):
        after = weights(folder)
        assert len(after) == 14
        rows = [(after[name] != before[name]).any(dim=-1).tolist() for name in after]
        return [has_moved for of_layer in rows for has_moved in of_layer]

    return moved


def test_ranks_update_the_same_rows(run, moved):
    here, there = moved(run("one")), moved(run("two"))
    # Each of three steps keeps 3 rows in 10, many of them the same.
    assert 0.3 < sum(there) / len(there) < 0.6
    # Sums round differently, which may turn a row at the border.
    assert sum(a != b for a, b in zip(here, there, strict=True)) <= 0.02 * len(there)
    fractions = [read_metrics(run(name))[0]["signal/masked_frac"] for name in ("one", "two")]
    assert fractions[0] == fractions[1]


@pytest.mark.parametrize(
    "name",
    ["zero3", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zero2", "fsdp2"))],
)
def test_a_sharded_run_makes_the_same_updates(run, moved, name):
    plain, sharded = run("two"), run(name)
    assert moved(sharded) == moved(plain)
    expected = weights(plain)
    for parameter, weight in weights(sharded).items():
        # Three steps of 0.01 and more.
        assert weight.allclose(expected[parameter], rtol=0, atol=1e-4), parameter
    for one, other in zip(read_metrics(plain), read_metrics(sharded), strict=True):
        for metric in {"grad_norm", "loss", "signal/masked_frac"} & one.keys():
            assert other[metric] == pytest.approx(one[metric], rel=1e-4, abs=1e-6), metric


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zero2", "zero3", "fsdp2"])
def test_a_stopped_sharded_run_goes_on(run, recipe, tmp_path, name):
    whole, stopped = run(name), tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    shutil.rmtree(stopped / "checkpoint-3")
    (stopped / "summary.json").unlink()
    launch(LAUNCHERS[name], recipe, stopped, resume_from_checkpoint="auto", **SETTINGS)
    assert comparable(read_metrics(stopped)) == comparable(read_metrics(whole))
    expected = weights(whole)
    for parameter, weight in weights(stopped).items():
        assert weight.equal(expected[parameter]), parameter
