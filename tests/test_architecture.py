"""The rules of the house, read from the source itself."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("configs", "storage", "tasks", "flows")
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


PACKAGES_WITH_PREFECT = ("dispatch", "server")
"""The sub-packages of flows that talk to Prefect; so do the flows themselves, in its modules."""

ROOMS = {"state": 0, "doctor": 1, "dispatch": 1, "server": 1, "": 2, "commands": 3}
"""The sub-packages of flows: each imports only from those of a lower number and of its own.

"" is flows itself, with the pipeline and its stages.
"""

SIDEWAYS = {
    ("doctor", "server"),  # credentials of the storage, checks of the server
    ("server", "doctor"),  # the value of a check
    ("server", "dispatch"),  # names of work pools
}
"""Imports between sub-packages of the same number."""

FLOWS = [module for module in MODULES if layer_of(module) == "flows"]
every_module_of_flows = pytest.mark.parametrize(
    "module", FLOWS, ids=lambda module: module.relative_to(ROOT).as_posix()
)


def room_of(module: Path) -> str:
    parts = module.relative_to(ROOT).parts
    return parts[1] if len(parts) > 2 else ""


def test_the_rooms_are_here() -> None:
    assert {room_of(module) for module in FLOWS} == set(ROOMS)


@every_module_of_flows
def test_only_the_packages_that_talk_to_prefect_import_it(module: Path) -> None:
    if room_of(module) not in (*PACKAGES_WITH_PREFECT, ""):
        assert "prefect" not in tops(module)


@every_module_of_flows
def test_imports_within_flows_point_down(module: Path) -> None:
    room = room_of(module)
    for name in _imported(module):
        if name.startswith("flows."):
            parts = name.split(".")
            other = parts[1] if parts[1] in ROOMS else ""
            assert other == room or ROOMS[other] < ROOMS[room] or (room, other) in SIDEWAYS


@pytest.mark.parametrize(
    "module", [module for module in FLOWS if room_of(module) in ("state", "doctor")]
)
def test_state_and_doctor_print_nothing(module: Path) -> None:
    assert {"rich", "typer", "click"}.isdisjoint(tops(module))
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    assert not [one for one in calls if isinstance(one.func, ast.Name) and one.func.id == "print"]


STORED_KEYS = {"storage/manifest.py": {"audio"}}
"""Words that storage may use because they are keys of stored records."""


@pytest.mark.parametrize("module", [module for module in MODULES if layer_of(module) == "storage"])
def test_storage_does_not_mention_audio_or_models(module: Path) -> None:
    words = (
        r"audio|flac|speech|sound\w*|transcri\w*|whisper\w*|teacher\w*|student\w*"
        r"|torch|transformers|tokenizers?|soxr|model_name|speaker\w*"
    )
    found = {word.lower() for word in re.findall(rf"\b(?:{words})\b", module.read_text(), re.I)}
    assert found <= STORED_KEYS.get(module.relative_to(ROOT).as_posix(), set())


def test_no_import_cycles() -> None:
    """No module imports itself through others, not even for annotations alone.

    Imports inside functions do not count: they happen after all modules are loaded.
    """
    names = {_name(module): module for module in MODULES}
    graph = {name: set(_imported_on_load(module, names)) for name, module in names.items()}
    assert graph["flows.pipeline"], "no import was found at all"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def _name(module: Path) -> str:
    parts = module.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported_on_load(module: Path, names: Mapping[str, Path]) -> Iterator[str]:
    """The project's modules that the top level of a module names in its imports."""
    statements: list[ast.stmt] = list(ast.parse(module.read_text()).body)
    while statements:
        match statements.pop():
            case ast.Import(names=aliases):
                yield from (alias.name for alias in aliases if alias.name in names)
            case ast.ImportFrom(module=str(package), names=aliases):
                inside = {f"{package}.{alias.name}" for alias in aliases} & names.keys()
                if len(inside) < len(aliases):
                    inside |= {package} & names.keys()
                yield from inside
            case ast.If(body=body, orelse=orelse):  # such as `if TYPE_CHECKING:`
                statements += [*body, *orelse]


@every_module
def test_the_demo_is_imported_by_nothing_else(module: Path) -> None:
    if not module.is_relative_to(ROOT / "tasks" / "demo"):
        names = {f"{name}." for name in _imported(module)} | {
            f"{node.module}.{alias.name}."
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert not [name for name in names if name.startswith("tasks.demo.")]


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
