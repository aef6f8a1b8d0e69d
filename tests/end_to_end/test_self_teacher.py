"""TTPO's teacher, the policy that has read the vote: the same updates under any launch."""

import shutil

import pytest
from killed_runs import comparable
from launching import LAUNCHERS, STORED_SAMPLES, launch, load_policy, read_metrics
from safetensors.torch import load_file

SETTINGS = {
    **STORED_SAMPLES,
    "rewards": {"majority_vote": {}},
    "advantage": {"disagreement": {"weight": 1.0}},
    "token_selector": {"confident_errors": {}},
    "answer_methods": ["last_number"],
    "max_completion_length": 4,
}
TERM = {"prompt": "{{answer}};{{prompt}}"}
LORA = {"r": 4, "target_modules": "all-linear"}
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    """The folder of a run under a launch with one teacher, each of which is run once."""
    found = {}

    def run(name, weights_of="policy", lora=None, folder=None, **settings):
        key = name, weights_of, lora is None, folder
        if key not in found:
            settings |= {
                **SETTINGS,
                "loss_terms": {"self_distillation": {**TERM, "weights_of": weights_of}},
                "lora": lora,
            }
            folder = folder or tmp_path_factory.mktemp("taught") / name
            found[key] = launch(LAUNCHERS[name], recipe, folder, **settings)
        return found[key]

    return run


def weights(folder):
    if (adapters := folder / "adapter_model.safetensors").is_file():
        return load_file(adapters)
    return dict(load_policy(folder).state_dict())


def assert_same_run(one, other, weight_tolerance):
    lines = [[line for line in read_metrics(folder) if "loss" in line] for folder in (one, other)]
    assert len(lines[0]) == len(lines[1]) == 3
    for here, there in zip(*lines, strict=True):
        assert here["signal/self_distillation"] != 0
        for name in ("signal/selected_frac", "signal/self_distillation", "loss", "grad_norm"):
            assert there[name] == pytest.approx(here[name], rel=2e-3, abs=1e-6), name
    expected = weights(one)
    for name, weight in weights(other).items():
        assert weight.allclose(expected[name], rtol=0, atol=weight_tolerance), name


def test_it_does_not_depend_on_ranks(run):
    # Rows in other micro-batches round differently.
    assert_same_run(run("one"), run("two"), 2e-3)


@pytest.mark.parametrize(
    "name", ["zero3", pytest.param("zero2", marks=slow), pytest.param("fsdp2", marks=slow)]
)
def test_a_sharded_policy_teaches_itself(run, name):
    assert_same_run(run("two"), run(name), 2e-4)


@slow
@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "adapters"])
@pytest.mark.parametrize("name", ["zero2", "zero3", "fsdp2"])
def test_the_base_teaches_a_sharded_policy(run, name, lora):
    plain, sharded = (run(launcher, "base", lora) for launcher in ("two", name))
    assert_same_run(plain, sharded, 2e-4)


@slow
def test_a_stopped_sharded_run_goes_on(run, tmp_path):
    whole, stopped = run("zero3", "base"), tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    shutil.rmtree(stopped / "checkpoint-3")
    (stopped / "summary.json").unlink()
    run("zero3", "base", folder=stopped, resume_from_checkpoint="auto")
    assert comparable(read_metrics(stopped)) == comparable(read_metrics(whole))
    expected = weights(whole)
    assert all(weight.equal(expected[name]) for name, weight in weights(stopped).items())
