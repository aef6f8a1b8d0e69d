"""The demo as a notebook: short cells, saved without outputs, and it runs."""

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs `pip install nbclient ipykernel`")

PATH = Path(__file__).parents[2] / "recipes/demo.ipynb"
PARAMETERS = """\
os.chdir({folder!r})
num_pretraining_steps = 100
num_steps = 4
output_dir = Path("runs/notebook")
"""


def test_it_is_saved_without_outputs_and_can_be_read():
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    assert max(len(cell.source.splitlines()) for cell in code) <= 12
    # Whoever reads it is told before each step what it is for.
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds.count("markdown") >= len(code) - 1
    assert [cell.id for cell in code if "parameters" in cell.metadata.get("tags", [])] == [
        "parameters"
    ]


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_it_trains_and_shows_its_report(tmp_path):
    """As it stands but for the numbers of steps, in a folder of its own."""
    nbclient = pytest.importorskip("nbclient", reason="needs `pip install nbclient ipykernel`")
    notebook = nbformat.read(PATH, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    cells["parameters"].source = PARAMETERS.format(folder=str(tmp_path))
    place = {"metadata": {"path": str(PATH.parent)}}
    nbclient.NotebookClient(notebook, timeout=1_500, resources=place).execute()

    def output(name, kind):
        return "".join(one.data[kind] if "data" in one else one.text for one in cells[name].outputs)

    assert cells["group"].outputs[0].data["text/plain"] == "[1.0, 1.0, 0.0, 0.0]"
    assert "beyond the base's majority of 16: " in output("verdict", "text/plain")
    report = tmp_path / "runs/notebook/report.html"
    assert "report.html" in cells["report"].outputs[-1].data["text/html"]
    assert "finished, 4 steps" in report.read_text()
