import logging
from importlib.util import find_spec

import pytest
import tiny_vision

from rewards import get_reward
from rl.data import row_images
from rl.data.prompts import prompt_id
from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.prepare import prepare_run
from rl.training.prepare_images import check_all_or_none

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
    read, read_image = [], row_images.read_image
    monkeypatch.setattr(row_images, "_NUM_KEPT", 1)  # a data set of more than are kept
    monkeypatch.setattr(
        row_images, "read_image", lambda *a, **b: read.append(a) or read_image(*a, **b)
    )
    prepare()
    assert len(read) == 4


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


def test_ranks_that_wait_in_the_vision_tower_have_images_in_all_prompts(tmp_path, monkeypatch):
    def check(num_with_images, num_ranks, **settings):
        config = LabelFreeConfig(output_dir=str(tmp_path), **settings)
        check_all_or_none(config, 4, num_with_images, num_ranks)

    trained = {"freeze_vision_tower": False}
    with pytest.raises(InputError, match="images in 3 of 4 prompts with a trained vision tower"):
        check(3, 2, **trained)
    check(3, 1, **trained)
    check(4, 2, **trained)
    check(3, 2)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match=r"3 of 4 prompts with FSDP on 2 ranks"):
        check(3, 2)
    check(4, 2)
    check(0, 2)
