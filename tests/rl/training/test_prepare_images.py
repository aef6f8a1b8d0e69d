import ast
import json
import logging
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny_vision

from rewards import get_reward
from rl.data import image_reading
from rl.data.prompts import prompt_id
from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run

ROOT = Path(__file__).parents[3]
ROWS = [("1+1=", [0]), ("2=", [1, 2]), ("3=", []), ("4=", [0])]


@pytest.fixture
def prepare(vision_folder, tmp_path):
    def run(rows=ROWS, model=vision_folder, dataset=None, **settings):
        config = LabelFreeConfig(
            model=model,
            dataset=dataset or tiny_vision.write_dataset(tmp_path, rows),
            output_dir=str(tmp_path / "out"),
            num_prompts=2,
            num_generations=4,
            max_completion_length=8,
            disable_tqdm=True,
            **settings,
        )
        return prepare_run(config, {"majority_vote": (get_reward("majority_vote"), 1.0)})

    return run


def test_prompts_know_their_images_by_digests(prepare):
    run = prepare()
    digests = run.prompts["image_digests"]
    assert [len(own) for own in digests] == [1, 2, 0, 1]
    rendered = run.prompts["rendered_prompt"]
    assert rendered[:] == ["<image>1+1=", "<image><image>2=", "3=", "<image>4="]
    assert run.prompts["prompt_id"][:] == list(map(prompt_id, rendered, digests))
    assert run.images.of(run.prompts[1])[1].digest == digests[1][1]
    assert run.images.of(run.prompts[2]) == ()
    assert "images" not in run.prompts.column_names


def test_a_prompt_is_as_long_as_its_images_make_it(prepare):
    # Each picture has 7 tokens: four of it and three around; 4 + 7, 2 + 14, 2 and 2 + 7.
    facts = prepare(max_prompt_length=15).prompt_facts
    assert facts.dropped_rows == [1]
    assert facts.longest == 11


def test_each_image_is_read_once(prepare, monkeypatch):
    read, encoded_image = [], image_reading.encoded_image
    monkeypatch.setattr(
        image_reading, "encoded_image", lambda *a: read.append(a[0]["path"]) or encoded_image(*a)
    )
    prepare()
    assert sorted(read) == ["0.png", "1.png", "2.png"]


def test_prompts_with_unreadable_images_are_dropped_with_a_count(prepare, tmp_path, caplog):
    dataset = tiny_vision.write_dataset(tmp_path, [*ROWS, ("5=", [3])])
    path = tmp_path / "1.png"
    path.write_bytes(path.read_bytes()[:50])
    with caplog.at_level(logging.WARNING):
        run = prepare(dataset=dataset)
    assert run.prompts["row"][:] == [0, 2, 3, 4]
    facts = run.prompt_facts
    assert (facts.unreadable_rows, facts.num_in_source, facts.num_trained) == ([1], 5, 4)
    assert "1 of 5 prompts dropped, whose images cannot be read. The first: image 0" in caplog.text


def test_a_model_of_text_alone_refuses_images_in_one_line(prepare, tiny_model_folder):
    with pytest.raises(InputError, match="which reads text alone, for prompts with images"):
        prepare(model=tiny_model_folder)
    run = prepare(model=tiny_model_folder, image_column="")
    assert run.images is None
    assert run.prompts["rendered_prompt"][:] == [text for text, _ in ROWS]


def test_an_engine_that_takes_no_images_is_refused_in_one_line(prepare, tmp_path):
    path = tmp_path / "engine.py"
    path.write_text("class Texts:\n    @classmethod\n    def for_run(cls, policy, settings): ...\n")
    texts = {"engine": f"{path}:Texts"}
    with pytest.raises(InputError, match=r"engine: got '.*:Texts' for prompts with images"):
        prepare(**texts)
    assert prepare(**texts, image_column="").images.rows is None


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_both_ways_to_run_vllm_take_images(prepare, mode):
    assert prepare(use_vllm=True, vllm_mode=mode).images.rows is not None


def test_a_vision_language_model_trains_on_text_alone(prepare):
    run = prepare([(text, []) for text, _ in ROWS])
    assert run.images.rows is None
    assert run.prompts["rendered_prompt"][:] == [text for text, _ in ROWS]


def test_a_text_that_spells_out_an_image_s_token_is_refused(prepare):
    with pytest.raises(InputError, match=r"prompt in row 1 \(from 0\): got <image> in its text"):
        prepare([("1=", [0]), ("1<image>", [])])


def test_where_no_image_can_be_read_the_first_error_is_said(prepare, tmp_path):
    path = tmp_path / "pictures.jsonl"
    path.write_text('{"prompt": "1=", "image": "gone.png"}\n')
    with pytest.raises(InputError, match=r"1 of 1 prompts with images .* got 'gone.png'"):
        prepare(dataset=str(path))


# What each rank read, was told and holds; then what it is told of a data set without a whole image.
TWO_RANKS = """
import logging
import sys
from accelerate import PartialState
from rl.data import image_reading, images
from rl.data.prompts import load_prompts
from rl.errors import InputError
from rl.evaluation.problems.labelled import unlabelled_problems
from rl.processes import each_from_main_process
from rl.training.config import LabelFreeConfig
from rl.training.prepare_images import _read_images

state = PartialState(cpu=True)
config = LabelFreeConfig(output_dir=sys.argv[1], use_cpu=True, allow_remote_images=True)
asked, told = [], []
encoded_image = image_reading.encoded_image
image_reading.encoded_image = lambda *a: asked.append(a[0]["path"]) or encoded_image(*a)
whole = open(f"{sys.argv[1]}/0.png", "rb").read()
images.fetch_image = lambda url, where: whole
logging.getLogger("rl.training.prepare_images").addFilter(lambda record: told.append(record))

prompts = load_prompts(f"{sys.argv[1]}/some.jsonl").dataset
found, rows = _read_images(config, prompts)
digests = [image.digest for row in found.prompts["row"] for image in rows.of_row(row)]
lines = [len(asked), len(told), found.unreadable_rows, digests]
try:
    _read_images(config, load_prompts(f"{sys.argv[1]}/none.jsonl").dataset)
except InputError as error:
    lines.append(str(error))
try:
    unlabelled_problems(prompts, True, each_from_main_process)
except InputError as error:
    lines.append(str(error))
state.wait_for_everyone()
print(f"\\nrank {state.process_index}: {lines}\\n", end="", flush=True)
state.destroy_process_group()
"""


@pytest.mark.medium
def test_two_ranks_have_what_one_of_them_read(tmp_path):
    for number in range(2):
        tiny_vision.picture(number).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:50])
    names = ["0.png", "broken.png", "https://x.org/0.png", "1.png", "https://x.org/0.png"]
    for file, images in (("some", names), ("none", ["broken.png"] * 3)):
        rows = [{"prompt": f"{i}?", "image": name} for i, name in enumerate(images)]
        (tmp_path / f"{file}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (tmp_path / "script.py").write_text(TWO_RANKS)
    launcher = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc_per_node=2"]
    result = subprocess.run(
        [*launcher, str(tmp_path / "script.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = dict(re.findall(r"^rank (\d): (.*)$", result.stdout, re.M))
    first, second = (ast.literal_eval(found[rank]) for rank in "01")
    # A link that two rows have is read once, and by one rank, which tells of what is left out.
    assert (first[:2], second[:2]) == ([4, 1], [0, 0])
    assert first[2:] == second[2:]
    unreadable, digests, none_left, refused = first[2:]
    assert unreadable == [1]
    assert digests[0] == digests[1] == digests[3] != digests[2]
    assert none_left.startswith("dataset: got 3 of 3 prompts with images that cannot be read")
    assert refused.startswith("image 0 of row 1 (both from 0): got 'broken.png'")
