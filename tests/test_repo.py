"""Rules of the house that no linter knows: sizes, names, who imports whom, what README lists."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from rewards import GAMES, REWARDS, TOKEN_SELECTORS

ROOT = Path(__file__).parents[1]
FOLDERS = ("rl", "rewards", "scripts", "tests")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# What a reward may know of the engine: pure helpers.
OPEN_TO_REWARDS = {
    "rl.types",
    "rl.questions",
    "rl.errors",
    "rl.plugins",
    "rl.whole_weights",
    "rl.sandbox",
    "rl.settings",
    "rl.data.slots",
    "rl.answers",
    "rl.answers.embedding",
    "rl.answers.repetition",
    "rl.answers.views",
    "rl.answers.votes",
    "rl.training.token_selection",
}
# Tests that look at a package's names, at a page in a browser, or at the library above ours.
WITHOUT_SOURCE = {
    "tests/rewards/test_registry.py",
    "tests/rl/report/test_page_in_browser.py",
    "tests/rl/training/test_host_seam.py",
}
ENGINES = {"trl", "vllm", "transformers", "accelerate", "deepspeed", "peft"}


@cache
def parsed(path):
    return ast.parse(path.read_text())


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def files_of(folder):
    return [path for path in FILES if path.is_relative_to(ROOT / folder)]


def imported_modules(path):
    """Every module a file imports, wherever in the file, as dotted names."""
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{name_of(path)}: import of a folder in line {node.lineno}"
            assert node.level == 0, f"{name_of(path)}: relative import in line {node.lineno}"
            folder = ROOT / node.module.replace(".", "/")
            # `from rl import types` names a module as `import rl.types` does.
            modules = {a.name for a in node.names if list(folder.glob(f"{a.name}*"))}
            names |= {f"{node.module}.{name}" for name in modules}
            if len(modules) < len(node.names):
                names.add(node.module)
    return names


def test_there_is_something_to_check():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(FOLDERS)
    assert "rl.types" in imported_modules(ROOT / "rewards" / "majority_vote.py")
    assert "rl.evaluation.evaluate" in imported_modules(
        ROOT / "rl" / "training" / "callbacks" / "evaluation.py"
    )


# Sizes and names.


def test_files_have_one_subject_each():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: n for name, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_functions_fit_a_screen():
    long = {}
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                num_lines = (node.end_lineno or 0) - node.lineno + 1
                if num_lines > MAX_FUNCTION_LINES:
                    long[f"{name_of(path)}:{node.name}"] = num_lines
    assert long == {}


@pytest.mark.parametrize("stem", ["util", "utils", "common", "helper", "helpers", "misc", "core"])
def test_no_file_or_folder_without_a_subject(stem):
    named = [p for folder in FOLDERS for p in (ROOT / folder).rglob(stem + "*") if p.stem == stem]
    assert named == []


def test_tests_lie_where_their_sources_lie():
    without = set()
    for folder in ("rl", "rewards", "scripts"):
        sources = {path.with_name(path.stem.strip("_")) for path in files_of(folder)}
        for path in (ROOT / "tests" / folder).rglob("test_*.py"):
            source = path.relative_to(ROOT / "tests").with_name(path.stem.removeprefix("test_"))
            without |= set() if ROOT / source in sources else {name_of(path)}
    assert without <= WITHOUT_SOURCE


# Who imports whom.


def test_the_engine_knows_no_concrete_reward_and_no_script():
    found = {
        (name_of(path), name)
        for path in files_of("rl")
        for name in imported_modules(path)
        if name.split(".")[0] in {"rewards", "scripts", "tests"}
    }
    assert found == set()


def test_what_is_loaded_runs_no_code():
    """No pickle is read but what this very process wrote, and tensors alone by `torch.load`."""
    own = {"rewards/contract.py"}  # copies rewards as a process that is handed one does
    readers = ("pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal")
    found = []
    for path in (path for path in FILES if path.parts[len(ROOT.parts)] != "tests"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if name.endswith("torch.load") and options.get("weights_only") != "True":
                found.append(f"{name_of(path)}:{node.lineno}")
            is_pickle = name.partition(".")[0] in readers and name.rpartition(".")[2] != "dumps"
            if is_pickle and name_of(path) not in own:
                found.append(f"{name_of(path)}:{node.lineno}")
            if name.rpartition(".")[2] in (
                "full_load",
                "unsafe_load",
                "UnsafeLoader",
                "allow_pickle",
            ):
                found.append(f"{name_of(path)}:{node.lineno}")
            if options.get("allow_pickle", "False") != "False":
                found.append(f"{name_of(path)}:{node.lineno}")
    assert found == []


def test_rewards_know_pure_helpers_only():
    found = {
        (name_of(path), name)
        for path in files_of("rewards")
        for name in imported_modules(path)
        if (name.split(".")[0] == "rl" and name not in OPEN_TO_REWARDS)
        # Games and the rewards of their roles meet in this one file.
        if not (path.name == "games.py" and name.startswith("rl.selfplay."))
        or name.split(".")[0] in ENGINES | {"scripts", "tests"}
    }
    assert found == set()


def test_importing_rewards_loads_no_engine():
    code = "import sys, rewards; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(result.stdout.split())
    assert "rewards" in loaded
    assert not loaded & (ENGINES | {"torch"})


def test_every_file_of_rewards_can_be_reached_from_the_registry():
    reached, waiting = set(), {reward.__module__ for reward in REWARDS.values()}
    by_place = {**TOKEN_SELECTORS, **GAMES}
    waiting |= {place.partition(":")[0] for place in by_place.values()}
    waiting.add("rewards.contract")  # what all of them keep to
    while waiting:
        module = waiting.pop()
        reached.add(module)
        path = ROOT / (module.replace(".", "/") + ".py")
        waiting |= {n for n in imported_modules(path) if n.startswith("rewards.")} - reached
    modules = {
        name_of(path).removesuffix(".py").replace("/", ".")
        for path in files_of("rewards")
        if path.stem != "__init__"
    }
    assert modules == reached


def test_scripts_do_nothing_when_imported():
    for path in (ROOT / "scripts").glob("*.py"):
        *body, last = parsed(path).body
        body = [node for node in body if ast.unparse(node).partition(":")[0] != "if TYPE_CHECKING"]
        assert isinstance(last, ast.If), f"{name_of(path)}: no `if __name__` at the end"
        assert ast.unparse(last.test) == "__name__ == '__main__'", name_of(path)
        kinds = ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.FunctionDef
        kinds |= ast.ClassDef | ast.AsyncFunctionDef
        docstring, *rest = body
        assert isinstance(docstring, ast.Expr), f"{name_of(path)}: no docstring"
        assert all(isinstance(node, kinds) for node in rest), name_of(path)


# What is shipped and listed.


def test_every_package_is_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for folder in ("rl", "rewards")
        for path in files_of(folder)
    }
    assert set(settings["tool"]["setuptools"]["packages"]) == packages | {"label_free_rl"}


def test_every_file_that_is_no_code_is_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for package, globs in patterns.items()
        for glob in globs
        for path in (ROOT / package.replace(".", "/")).glob(glob)
    }
    files = {p for f in ("rl", "rewards") for p in (ROOT / f).rglob("*") if p.is_file()}
    left_out = {p for p in files - installed if p.suffix not in (".py", ".pyc", ".md")}
    assert left_out == set()
    assert {".css", ".j2", ".js", ".txt", ".typed"} == {path.suffix for path in installed}


def test_recipes_are_yaml():
    files = [path for path in (ROOT / "recipes").rglob("*") if path.is_file()]
    assert [path for path in files if path.suffix == ".yaml"]
    files = [p for p in files if p.suffix != ".svg" or p.parent.name != "studies"]  # its plot
    files = [p for p in files if p.name != "demo.ipynb"]  # recipes/demo.yaml, cell by cell
    others = [name_of(p) for p in files if p.suffix != ".yaml" and p.name != "README.md"]
    assert others == []


@pytest.mark.parametrize("folder", ["rl", "rewards"])
def test_a_folder_s_readme_says_of_each_file_what_the_file_says(folder):
    listed = (ROOT / folder / "README.md").read_text().splitlines()
    missing = []
    for path in files_of(folder):
        says = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0].rstrip(".")
        name = path.relative_to(ROOT / folder).as_posix() if folder == "rewards" else path.name
        row = f"| `{name}` | {says} |"
        if path.stem != "__init__" and row not in listed:
            missing.append(row)
    assert missing == []


def test_what_can_be_added_goes_where_the_readme_says():
    rows = re.findall(
        r"^\|.*\| `(\w+)` in `([\w/.]+)` \|", (ROOT / "rl/README.md").read_text(), re.M
    )
    assert {"ENGINES", "KINDS"} < {name for name, _ in rows}
    for name, path in rows:
        assert re.search(rf"^(?:def )?{name}\b", (ROOT / "rl" / path).read_text(), re.M), (
            name,
            path,
        )


def test_the_readme_is_a_page_and_names_every_script():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 200
    text = "\n".join(lines)
    scripts = [path.name for path in (ROOT / "scripts").glob("[!_]*.py")]
    assert [name for name in scripts if f"`{name}`" not in text] == []
