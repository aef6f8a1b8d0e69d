"""A folder of everything that is wrong, and scripts run on it in this process."""

import contextlib
import gzip
import io
import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

SCRIPTS = Path(__file__).parents[2] / "scripts"
# Nothing wrong may get as far as these: a model loaded or trained, a program started.
WORK = (
    "transformers.PreTrainedModel.from_pretrained",
    "torch.Tensor.backward",
    "subprocess.run",
    "subprocess.Popen.__init__",
    "os.execve",
    "multiprocessing.process.BaseProcess.start",
)


def accepted(*arguments, **settings):
    raise AssertionError("the input was accepted, and work began")


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_model_folder):
    """The folder: files that are right, and files, folders and models that are wrong."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "model").symlink_to(tiny_model_folder)
    sums = [{"prompt": f"{a}+1=", "label": str(a + 1), "n": a} for a in range(8)]
    write_lines(folder / "train.jsonl", sums)
    write_lines(folder / "saved.jsonl", [{"id": 1, "completions": [r"\boxed{2}", "none"]}])
    write_damaged_files(folder, json.dumps(sums[0]))
    write_damaged_models(folder, Path(tiny_model_folder))
    write_damaged_runs(folder)
    return folder


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_damaged_files(folder, line):
    """Files that end in .jsonl, or as the name says, and cannot be read as that."""
    contents = {
        "empty.jsonl": b"",
        "blank.jsonl": b"\n\n\n",
        "binary.jsonl": bytes(range(256)) * 8,
        "utf16.jsonl": line.encode("utf-16"),
        "latin1.jsonl": '{"prompt": "é"}\n'.encode("latin-1"),
        "deep.jsonl": b"[" * 2000 + b"\n",
        "list.jsonl": b"[1, 2]\n",
        "no_columns.jsonl": b"{}\n{}\n",
        "huge_integer.jsonl": b'{"prompt": "1+1=", "n": ' + b"9" * 5000 + b"}\n",
        "not_gzip.jsonl.gz": line.encode(),
        "half.jsonl.gz": gzip.compress(line.encode() * 99)[:40],
        "half.parquet": b"PAR1 and then nothing",
        "ragged.csv": b"prompt,label\n1,2,3\n",
        "photo.png": b"\x89PNG",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
    # Reading it from the start is an input/output error, also for the superuser.
    (folder / "unreadable.jsonl").symlink_to("/proc/self/mem")
    (folder / "folder.jsonl").mkdir()
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "empty_folder").mkdir()
    (folder / "mixed_folder").mkdir()
    (folder / "mixed_folder" / "one.jsonl").write_text('{"prompt": "1+1="}\n')
    (folder / "mixed_folder" / "two.jsonl").write_text('{"question": [1]}\n')
    (folder / "scripts").mkdir()
    (folder / "scripts" / "scripts.py").write_text("open('was_run', 'w')\n")


def write_damaged_models(folder, model):
    """Folders that are no model, each in another way; their names say which."""

    def copy(name, **changes):
        target = folder / name
        target.mkdir()
        for path in model.iterdir():
            if path.name not in changes:
                (target / path.name).symlink_to(path)
        for file, content in changes.items():
            if content is not None:
                (target / file).write_bytes(content)

    config = json.loads((model / "config.json").read_text())
    as_bytes = {
        "config_is_empty": b"",
        "config_is_binary": bytes(range(256)),
        "config_is_a_list": b"[]",
        "config_is_deep": b"[" * 100_000,
        "config_of_an_unknown_type": json.dumps({**config, "model_type": "nope"}).encode(),
        "config_of_an_encoder": json.dumps({"model_type": "bert"}).encode(),
        "config_with_text_for_sizes": json.dumps({**config, "hidden_size": "big"}).encode(),
        "config_with_a_small_vocabulary": json.dumps({**config, "vocab_size": 5}).encode(),
        "config_with_custom_code": json.dumps(
            {**config, "model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
        ).encode(),
    }
    for name, content in as_bytes.items():
        copy(name, **{"config.json": content})
    copy("no_config", **{"config.json": None})
    copy("no_tokenizer", **{"tokenizer.json": None, "tokenizer_config.json": None})
    copy("tokenizer_is_binary", **{"tokenizer.json": bytes(range(256))})
    copy("no_weights", **{"model.safetensors": None})
    copy("weights_are_binary", **{"model.safetensors": bytes(range(256))})


def write_damaged_runs(folder):
    """Folders that pass for those of runs and evaluations at first sight."""
    files = {"manifest.json": "{}", "samples.jsonl": "{}\n", "summary.json": "{}"}
    for name, changes in {
        "evaluation_of_nothing": {"samples.jsonl": ""},
        "evaluation_with_binary_samples": {"samples.jsonl": "\x00\x01\n"},
        "evaluation_with_a_list_for_manifest": {"manifest.json": "[]"},
        "evaluation_with_a_deep_manifest": {"manifest.json": "[" * 100_000},
        "evaluation_with_an_empty_manifest": {},
    }.items():
        (folder / name).mkdir()
        for file, content in {**files, **changes}.items():
            (folder / name / file).write_text(content)
    for name, changes in {
        "run_with_binary_config": {"config.yaml": "\x00\x01"},
        "run_with_a_deep_config": {"config.yaml": "[" * 500},
        "run_with_bad_metrics": {"metrics.jsonl": "[]\n"},
        "run_with_text_for_metrics": {"metrics.jsonl": '{"step": "one", "entropy": "x"}\n'},
        "run_with_a_text_summary": {"summary.json": '{"before": "x", "after": [1], "cost": 5}'},
        "run_with_bad_rollouts": {"rollouts/step_abc.jsonl.gz": "not gzip"},
        "run_with_damaged_rollouts": {"rollouts/step_000001.jsonl.gz": "not gzip"},
    }.items():
        for file, content in {"config.yaml": "settings: {}\n", **changes}.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)


@pytest.fixture
def refused(world, tmp_path, monkeypatch):
    """Run a script with `{world}` and `{new}` filled in; return its one line of error."""

    def run(script, *arguments):
        places = {"{world}": str(world), "{new}": str(tmp_path)}
        filled = [re.sub(r"{world}|{new}", lambda m: places[m[0]], str(a)) for a in arguments]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("rl.plugins._allowed", set())
        # A hub that cannot be reached is asked again and again.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
        monkeypatch.setattr(sys, "argv", [str(SCRIPTS / script), *filled])
        for name in WORK:
            monkeypatch.setattr(name, accepted)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        found = [line for line in errors.getvalue().splitlines() if "error: " in line]
        assert ended.value.code == 2, errors.getvalue()
        assert len(found) == 1, errors.getvalue()
        assert len(found[0]) < 1000 or ".py: error:" in found[0]  # argparse repeats the value
        assert "Traceback" not in errors.getvalue()
        assert not (tmp_path / "was_run").exists(), "code of a data folder was run"
        return found[0]

    return run


@pytest.fixture
def refused_recipe(refused, right_recipe, tmp_path, world):
    """Dry-run a recipe that is right but for some changes, or is this very text or these bytes."""

    def run(changes, *arguments):
        content = changes
        if isinstance(changes, dict):
            content = yaml.safe_dump({**right_recipe, **filled_in(changes, world)})
        path = tmp_path / "recipe.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return refused("train.py", path, *arguments)

    return run


@pytest.fixture
def right_recipe(world, tmp_path):
    """Settings with nothing wrong in them."""
    return {
        "model": str(world / "model"),
        "dataset": str(world / "train.jsonl"),
        "output_dir": str(tmp_path / "run"),
        "num_prompts": 2,
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "max_completion_length": 8,
        "gradient_checkpointing": False,
        "max_steps": 1,
    }


def filled_in(value, world):
    """Put the folder's path in place of `{world}`, wherever in a setting."""
    if isinstance(value, dict):
        return {filled_in(k, world): filled_in(v, world) for k, v in value.items()}
    if isinstance(value, list):
        return [filled_in(v, world) for v in value]
    return value.replace("{world}", str(world)) if isinstance(value, str) else value


@pytest.fixture(autouse=True)
def same_environment():
    """Leave the environment as it was, whatever a script sets in it."""
    before = dict(os.environ)
    yield
    for name in set(os.environ) - set(before):
        del os.environ[name]
