"""What an evaluation loads a model as, and a model that reads images."""

import json

import pytest
import tiny_vision
import torch
from PIL import Image

from rl.rollouts.engine import SamplingSettings
from rl.rollouts.engines import StoredModel
from rl.rollouts.transformers_engine import TransformersEngine


@pytest.mark.skipif(torch.accelerator.is_available(), reason="CPUs only")
def test_a_bfloat16_checkpoint_is_float32_on_a_cpu(tmp_path, make_tiny_model, tiny_tokenizer):
    make_tiny_model().to(torch.bfloat16).save_pretrained(tmp_path)
    stored = StoredModel(
        model=str(tmp_path),
        tokenizer=tiny_tokenizer,
        settings=SamplingSettings(max_completion_length=2),
        batch_size=2,
    )
    engine = TransformersEngine.for_model(stored)
    assert {p.dtype for p in engine.model.parameters()} == {torch.float32}
    [[sample]] = engine.generate([[3, 4, 5]], 1, [0])
    assert 1 <= len(sample.completion_ids) <= 2


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def vision_model(tmp_path_factory):
    """A tiny Idefics3 of random weights, with its processor."""
    folder = tmp_path_factory.mktemp("vision")
    tiny_vision.save(folder)
    return folder


@pytest.fixture
def pictures(tmp_path):
    """A benchmark of one question about a black and a white picture each, and one without any."""
    for name, colour in (("black", 0), ("white", 255)):
        Image.new("L", (20, 12), colour).save(tmp_path / f"{name}.png")
    rows = [
        {"id": "black", "question": "=?", "answer": 0, "images": ["black.png"]},
        {"id": "white", "question": "=?", "answer": 1, "images": ["white.png"]},
        {"id": "none", "question": "1+1=", "answer": 2, "images": []},
    ]
    path = tmp_path / "pictures.json"
    path.write_text(json.dumps(rows))
    return path


def test_problems_with_images_are_sampled_kept_and_graded_again(
    evaluate, vision_model, pictures, tmp_path, capsys
):
    out = tmp_path / "out"
    asked = ["--model", str(vision_model), "--benchmark", str(pictures), "--output_dir", str(out)]
    asked += ["--max_completion_length", "6"]
    evaluate([*asked, "--num_samples", "2"])
    assert "3 problems" in (printed := capsys.readouterr().out)
    assert "2 images" in printed
    lines = {line["problem_id"]: line for line in read_lines(out / "problems.jsonl")}
    digests = {name: line.get("images") for name, line in lines.items()}
    assert digests["none"] is None
    kept = sorted(path.name for path in (out / "images").iterdir())
    assert kept == sorted(f"{digest}.png" for digest in digests["black"] + digests["white"])
    first = read_lines(out / "samples.jsonl")
    assert [line.get("images") for line in first] == [
        digests[name] for name in ("black", "white", "none") for _ in range(2)
    ]
    assert len({line["prompt_id"] for line in first}) == 3  # the text of two is the same
    # More samples begin with the same ones, and grading again needs neither model nor pictures.
    evaluate([*asked, "--num_samples", "4"])
    samples = read_lines(out / "samples.jsonl")
    texts = {(s["problem_id"], s["sample"]): s["completion"] for s in samples}
    assert all(texts[s["problem_id"], s["sample"]] == s["completion"] for s in first)
    summary = (out / "summary.json").read_text()
    (tmp_path / "black.png").unlink()
    evaluate(["--rescore", str(out)])
    assert (out / "summary.json").read_text() == summary
    assert read_lines(out / "samples.jsonl") == samples
    # Another picture under the same name is another evaluation.
    Image.new("L", (20, 12), 90).save(tmp_path / "black.png")
    with pytest.raises(SystemExit):
        evaluate([*asked, "--num_samples", "4"])
    assert "problems_hash" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": ["gone.png"]}, "image 0 of row 0 (both from 0): got 'gone.png'"),
        ({"images": ["https://example.com/a.png"]}, "allow_remote_images"),
        ({"question": "<image>=?", "images": ["a.png", "a.png"]}, "got <image> in its text"),
    ],
)
def test_images_that_cannot_be_asked_about_are_refused(
    evaluate, vision_model, tmp_path, capsys, changes, message
):
    Image.new("L", (20, 12)).save(tmp_path / "a.png")
    path = tmp_path / "bad.json"
    path.write_text(json.dumps([{"question": "=?", "answer": 1, "image": "a.png", **changes}]))
    paths = {"model": vision_model, "benchmark": path, "output_dir": tmp_path / "out"}
    with pytest.raises(SystemExit):
        evaluate([part for name, path in paths.items() for part in (f"--{name}", str(path))])
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_model_of_text_alone_and_short_prompts_are_refused(
    evaluate, model_dir, vision_model, pictures, tmp_path, capsys
):
    asked = ["--benchmark", str(pictures), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        evaluate([*asked, "--model", str(model_dir)])
    assert "which reads text alone, for problems with images" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate([*asked, "--model", str(vision_model), "--max_prompt_length", "3"])
    assert "a prompt with images is not cut" in capsys.readouterr().err


def test_an_engine_that_takes_no_images_is_refused_before_the_model(
    evaluate, vision_model, pictures, tmp_path, capsys
):
    own = tmp_path / "own.py"
    own.write_text("class Own:\n    @classmethod\n    def for_model(cls, model):\n        1 / 0\n")
    asked = ["--benchmark", str(pictures), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        evaluate([*asked, "--model", str(vision_model), "--engine", f"{own}:Own"])
    error = capsys.readouterr().err
    assert "--engine: got " in error
    assert "for prompts with images, expected an engine that takes them" in error
    assert not (tmp_path / "out").exists()
