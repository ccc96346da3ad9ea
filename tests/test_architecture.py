"""The rules of the house, read from the source itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("configs", "storage", "tasks", "flows", "distillery")
PREFECT_PAGES = {"tasks/run.py"}
MAX_LINES = 300

MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
every_module = pytest.mark.parametrize(
    "module", MODULES, ids=lambda module: module.relative_to(ROOT).as_posix()
)


def tops(module: Path) -> set[str]:
    """The packages that a module imports from, wherever in it."""
    return {name.partition(".")[0] for name in _imported(module)}


def _imported(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relative to itself"
            yield str(node.module)


def layer_of(module: Path) -> str:
    return module.relative_to(ROOT).parts[0]


def test_the_layers_are_here() -> None:
    assert {layer_of(module) for module in MODULES} == set(LAYERS)


@every_module
def test_imports_point_left_only(module: Path) -> None:
    to_the_right = set(LAYERS[LAYERS.index(layer_of(module)) + 1 :])
    assert to_the_right.isdisjoint(tops(module))


@every_module
def test_only_flows_and_one_page_of_tasks_know_prefect(module: Path) -> None:
    name = module.relative_to(ROOT).as_posix()
    if layer_of(module) != "flows" and name not in PREFECT_PAGES:
        assert "prefect" not in tops(module)


@every_module
def test_storage_and_configs_know_no_audio_and_no_model(module: Path) -> None:
    if layer_of(module) in ("configs", "storage"):
        foreign = {"av", "soundfile", "soxr", "torch", "transformers", "tokenizers"}
        assert foreign.isdisjoint(tops(module))


@every_module
def test_nothing_is_read_that_could_run_code(module: Path) -> None:
    text = module.read_text()
    assert {"pickle", "dill", "joblib", "shelve", "marshal"}.isdisjoint(tops(module))
    assert not re.search(r"(?<!safetensors\.)\btorch\.(load|save)\(", text)


@every_module
def test_a_module_fits_on_a_few_screens_and_says_what_it_is(module: Path) -> None:
    text = module.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert module.name != "utils.py"
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "a module opens with what it knows"


@every_module
def test_no_warning_is_silenced(module: Path) -> None:
    assert not re.search(r"#\s*(type:\s*ignore|noqa|pragma|pylint|mypy:)", module.read_text())


@pytest.mark.parametrize("layer", LAYERS)
def test_every_folder_of_modules_is_a_package(layer: str) -> None:
    folders = {module.parent for module in MODULES if layer_of(module) == layer}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
