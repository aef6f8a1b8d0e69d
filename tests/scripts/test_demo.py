"""What a demo does with the folder of an earlier one."""

import pytest
from demo import check_replaceable, earlier, read_summary, replaced

from rl.errors import InputError
from rl.training.run_lock import one_run_in


def write_demo(folder, word):
    folder.mkdir()
    (folder / "config.yaml").write_text(f"settings: {{dataset: runs/strategies/{word}}}\n")


def held(folder):
    return (folder / "config.yaml").read_text().partition("strategies/")[2].rstrip("}\n")


def test_an_earlier_demo_is_replaced_by_one_that_succeeds(tmp_path):
    folder = tmp_path / "demo"
    with replaced(folder):
        write_demo(folder, "first")
    with replaced(folder):
        assert not folder.exists()
        write_demo(folder, "second")
    assert held(folder) == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


@pytest.mark.parametrize("error", [SystemExit(2), KeyboardInterrupt()])
def test_an_earlier_demo_comes_back_if_the_next_one_fails(tmp_path, error):
    folder = tmp_path / "demo"
    write_demo(folder, "first")

    def fail():
        with replaced(folder):
            write_demo(folder, "second")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert held(folder) == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_other_folders_are_left_alone(tmp_path):
    folder = tmp_path / "demo"
    check_replaceable(folder, "runs/strategies")
    write_demo(folder, "first")
    check_replaceable(folder, "runs/strategies")
    with pytest.raises(InputError, match=r"output_dir: got .*, expected a new folder or an earlie"):
        check_replaceable(folder, "runs/pictures")


@pytest.mark.parametrize("has_ended", [False, True])
def test_what_a_killed_demo_set_aside_is_the_earlier_one(tmp_path, has_ended):
    folder = tmp_path / "demo"
    write_demo(earlier(folder), "first")
    write_demo(folder, "second")
    if has_ended:  # it was killed after its training, and "first" is of no use
        (folder / "summary.json").write_text("{}")

    def fail():
        with replaced(folder):
            raise SystemExit(2)

    with pytest.raises(SystemExit):
        fail()
    assert held(folder) == ("second" if has_ended else "first")
    assert not earlier(folder).exists()


def test_a_folder_with_a_run_at_work_is_not_set_aside(tmp_path):
    folder = tmp_path / "demo"
    with one_run_in(folder):
        check_replaceable(folder, "runs/strategies")  # nothing is in it
        (folder / "config.yaml").write_text("settings: {dataset: runs/strategies/first}\n")
        with pytest.raises(InputError, match="another run is at work"):
            check_replaceable(folder, "runs/strategies")
    check_replaceable(folder, "runs/strategies")


def test_a_training_that_wrote_nothing_is_no_success(tmp_path):
    with pytest.raises(InputError, match=r"summary\.json: got no such file, expected what a train"):
        read_summary(tmp_path)
