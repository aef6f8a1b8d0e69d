"""What a demo does with the folder of an earlier one."""

import pytest
from demo import check_replaceable, replaced

from rl.errors import InputError


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
