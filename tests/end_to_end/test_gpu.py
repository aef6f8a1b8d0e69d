"""Real runs on a CUDA device do what the same runs do on a CPU, and what only a GPU can."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from launching import BIN, REWARD, launch, one_process, read_metrics, read_rollouts, zero

sys.path.insert(0, str(Path(__file__).parents[1] / "rl"))

pytestmark = pytest.mark.gpu

ON_CPU = {"CUDA_VISIBLE_DEVICES": ""}
ON_GPU = {"DS_ACCELERATOR": "cuda"}
# Two steps, the second with updated weights; float32, so that a CPU can be compared with.
EXACT = {"max_steps": 2, "num_updates": 1, "bf16": False}
ROWS = [("1+1=", [0]), ("2+2=", [1, 2]), ("3+3=", []), ("4+4=", [0]), ("5+5=", [3]), ("6=", [4])]


@pytest.fixture(scope="module", params=["idefics3", "qwen2_5_vl"])
def pictures(request, tmp_path_factory):
    """A recipe on a tiny vision-language model; Qwen's processor needs torchvision."""
    import tiny_vision

    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "idefics3":
        tiny_vision.save(folder / "model")
    else:
        pytest.importorskip("torchvision")
        import tiny_qwen_vision

        tiny_qwen_vision.save(folder / "model")
    settings = {
        "model": str(folder / "model"),
        "dataset": tiny_vision.write_dataset(folder, ROWS),
        "rewards": {REWARD: {}},
        "num_prompts": 3,
        "num_generations": 8,
        "per_device_train_batch_size": 4,
        "max_completion_length": 8,
        "learning_rate": 1e-3,
        "max_sampling_logp_gap": 0.2,  # a random model's image token is as likely as any other
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def gradient_norms(folder):
    return [line["grad_norm"] for line in read_metrics(folder) if "grad_norm" in line]


def same_on_both(recipe, folder, **settings):
    """A run on the GPU samples the first batch and moves the weights as it does on a CPU."""
    found = []
    for device in (ON_CPU, ON_GPU):
        output_dir = folder / ("cpu" if device is ON_CPU else "gpu")
        launch(one_process(), recipe, output_dir, device, **{**EXACT, **settings})
        found.append((output_dir, gradient_norms(output_dir)))
    (cpu, cpu_norms), (gpu, gpu_norms) = found
    first = [
        [line["completion"] for line in read_rollouts(folder) if line["step"] == 1]
        for folder in (cpu, gpu)
    ]
    assert len(first[0]) >= 16
    assert first[1] == first[0]
    assert gpu_norms[0] > 0
    assert gpu_norms[0] == pytest.approx(cpu_norms[0], rel=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shared_prompts": False},
        {"token_selector": {"entropy_band": {"preset": "v2"}}, "beta": 0.01},
        {"lora": {"r": 4}, "gradient_checkpointing": True},
    ],
    ids=["shared prompts", "one prompt a row", "SPINE", "LoRA"],
)
def test_a_gpu_does_what_a_cpu_does(recipe, tmp_path, settings):
    same_on_both(recipe, tmp_path, **settings)


def test_images_are_seen_alike(pictures, tmp_path):
    same_on_both(pictures, tmp_path)


def test_bfloat16_by_default(recipe, tmp_path):
    folder = launch(one_process(), recipe, tmp_path, ON_GPU, save_steps=4)
    assert "bf16: true" in (folder / "config.yaml").read_text()
    assert all(norm > 0 for norm in gradient_norms(folder))
    assert len(gradient_norms(folder)) == 4


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_on_a_gpu(recipe, tmp_path, stage):
    plain = launch(one_process(), recipe, tmp_path / "plain", ON_GPU, **EXACT)
    sharded = launch(zero(stage, 1), recipe, tmp_path / "sharded", ON_GPU, **EXACT)
    assert read_rollouts(sharded)[:16] == read_rollouts(plain)[:16]
    assert gradient_norms(sharded)[0] == pytest.approx(gradient_norms(plain)[0], rel=1e-3)


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("kind", ["float32", "bfloat16", "fsdp2"])
def test_vllm_beside_the_trainer_follows_it(recipe, tmp_path, kind):
    """New weights reach vLLM with each batch: its probabilities stay the trainer's."""
    settings = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.1, "bf16": kind == "bfloat16"}
    config = ["launch", "--config_file", "recipes/accelerate/fsdp2.yaml", "--num_processes", "1"]
    under_fsdp2 = [str(BIN / "accelerate"), *config, "--mixed_precision", "no"]
    launcher = under_fsdp2 if kind == "fsdp2" else one_process()
    folder = launch(launcher, recipe, tmp_path, ON_GPU, num_updates=1, **settings)
    gaps = [
        line["sampling/sampling_logp_difference/mean"]
        for line in read_metrics(folder)
        if "sampling/sampling_logp_difference/mean" in line
    ]
    assert len(gaps) == 4
    assert max(gaps) < (0.01 if kind == "bfloat16" else 1e-3)


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_sees_images_as_the_trainer_does(pictures, tmp_path):
    settings = {"use_vllm": True, "vllm_gpu_memory_utilization": 0.1, "bf16": False}
    folder = launch(one_process(), pictures, tmp_path, ON_GPU, max_steps=2, **settings)
    lines = [line for line in read_metrics(folder) if "grad_norm" in line]
    # The trainer's distribution has the image's token too, one of 66 or 30.
    assert lines[0]["signal/start_sampling_logp_gap"] < 0.1
    assert lines[1]["grad_norm"] > 0
