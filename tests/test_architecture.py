"""The rules of the architecture, read from the source; a test names all modules that break one."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = ("configs", "storage", "tasks", "flows", "distillery")
MAX_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_MODULES = 20

USES_PREFECT = ("flows/dispatch/", "flows/server/", "flows/pipeline.py", "flows/grid.py",
                "flows/stages.py", "tasks/run.py")  # fmt: skip
USES_DEMO = ("tasks/demo/",)
PARTS_OF_FLOWS = {
    "pages": 0,
    "state": 0,
    "tables": 1,
    "browse": 2,
    "compare": 2,
    "doctor": 2,
    "dispatch": 2,
    "report": 2,
    "server": 2,
    "": 3,
    "commands": 4,
}
"""Packages of flows, each below those of a higher number; "" has the pipeline and its stages."""
SIDEWAYS = {
    ("doctor", "server"),  # credentials of the storage, checks of the server
    ("server", "doctor"),  # the value of a check
    ("server", "dispatch"),  # names of work pools
}
PRINTS = {"rich", "typer", "click"}
AUDIO_AND_MODELS = {"av", "soundfile", "soxr", "torch", "transformers", "tokenizers"}
RUNS_CODE = {"pickle", "dill", "joblib", "shelve", "marshal"}

MODULES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for layer in LAYERS
    for path in sorted((ROOT / layer).rglob("*.py"))
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module])


def imports(nodes: Iterator[ast.AST]) -> set[str]:
    """What these nodes import, as dotted names of modules or of names in them."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import of {node.module}"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


@cache
def imported(module: str) -> set[str]:
    """What a module imports, wherever in it."""
    return imports(ast.walk(tree(module)))


def imported_packages(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imported(module)}


def layer_of(module: str) -> str:
    return module.partition("/")[0]


def test_every_layer_has_modules() -> None:
    assert {layer_of(module) for module in MODULES} == set(LAYERS)


def test_imports_point_left_only() -> None:
    wrong = {}
    for module in MODULES:
        to_the_right = set(LAYERS[LAYERS.index(layer_of(module)) + 1 :])
        wrong[module] = to_the_right & imported_packages(module)
    assert {module: names for module, names in wrong.items() if names} == {}


def test_only_what_talks_to_prefect_imports_it() -> None:
    users = [module for module in MODULES if "prefect" in imported_packages(module)]
    assert [module for module in users if not module.startswith(USES_PREFECT)] == []


def part_of_flows(name: str) -> str:
    """The package of flows that a dotted name is in, "" for flows itself."""
    part = name.split(".")[1]
    return part if part in PARTS_OF_FLOWS else ""


def test_imports_inside_flows_point_down_only() -> None:
    modules = {
        module: module.replace("/", ".") for module in MODULES if layer_of(module) == "flows"
    }
    assert {part_of_flows(name) for name in modules.values()} == set(PARTS_OF_FLOWS)
    wrong = set()
    for module, name in modules.items():
        part = part_of_flows(name)
        for other in (part_of_flows(one) for one in imported(module) if one.startswith("flows.")):
            is_down = other == part or PARTS_OF_FLOWS[other] < PARTS_OF_FLOWS[part]
            if not is_down and (part, other) not in SIDEWAYS:
                wrong.add((module, other))
    assert sorted(wrong) == []


def test_state_and_doctor_print_nothing() -> None:
    modules = [one for one in MODULES if one.startswith(("flows/state/", "flows/doctor/"))]
    assert [one for one in modules if PRINTS & imported_packages(one)] == []
    calls = {
        one: [node.func.id for node in ast.walk(tree(one))
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        for one in modules
    }  # fmt: skip
    assert [one for one, names in calls.items() if "print" in names] == []


def test_only_the_demo_imports_the_demo() -> None:
    users = [
        module
        for module in MODULES
        if any(f"{name}.".startswith("tasks.demo.") for name in imported(module))
    ]
    assert [module for module in users if not module.startswith(USES_DEMO)] == []


def test_libsndfile_is_used_through_the_module_that_makes_it_safe_for_threads() -> None:
    users = [module for module in MODULES if "soundfile" in imported_packages(module)]
    assert users == ["tasks/audio/libsndfile.py"]


def test_storage_and_configs_import_no_audio_and_no_model() -> None:
    lower = [module for module in MODULES if layer_of(module) in ("configs", "storage")]
    assert [module for module in lower if AUDIO_AND_MODELS & imported_packages(module)] == []


def test_storage_does_not_mention_audio_or_models() -> None:
    words = re.compile(
        r"\b(audio|flac|speech|sound\w*|transcri\w*|whisper\w*|teacher\w*|student\w*"
        r"|torch|transformers|tokenizers?|soxr|model_name|speaker\w*)\b",
        re.IGNORECASE,
    )
    storage = [module for module in MODULES if layer_of(module) == "storage"]
    assert [module for module in storage if words.search(MODULES[module])] == []


def test_the_manifest_reader_does_not_depend_on_training() -> None:
    readers = [module for module in MODULES if module.startswith("tasks/reading/")]
    assert readers
    users = [one for one in readers if any(n.startswith("tasks.distil") for n in imported(one))]
    assert users == []


def test_the_whisper_engine_imports_no_stage() -> None:
    """Stages import the engine; the engine imports only audio and prefetching."""
    allowed = ("tasks.whisper.", "tasks.audio.", "tasks.read_ahead.")
    engine = [module for module in MODULES if module.startswith("tasks/whisper/")]
    used = {name for module in engine for name in imported(module) if name.startswith("tasks.")}
    assert used
    assert {name for name in used if not f"{name}.".startswith(allowed)} == set()


def test_no_format_is_read_that_could_run_code() -> None:
    torch_files = re.compile(r"(?<!safetensors\.)\btorch\.(load|save)\(")
    assert [
        module
        for module, text in MODULES.items()
        if RUNS_CODE & imported_packages(module) or torch_files.search(text)
    ] == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    names = {module.removesuffix("/__init__.py").removesuffix(".py") for module in MODULES}
    names = {name.replace("/", ".") for name in names}
    graph = {}
    for module in MODULES:
        own = module.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
        when_loaded = imports(_run_on_import(tree(module)))
        graph[own] = {
            found for name in when_loaded for found in (name, name.rpartition(".")[0])
            if found in names and found != own
        }  # fmt: skip
    while free := {name for name, needed in graph.items() if not needed & graph.keys()}:
        graph = {name: needed for name, needed in graph.items() if name not in free}
    assert sorted(graph) == []


def _run_on_import(module: ast.AST) -> Iterator[ast.AST]:
    """The statements that run when a module is imported, without those for type checkers."""
    for node in ast.iter_child_nodes(module):
        is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_for_types:
            yield node
            yield from _run_on_import(node)


def test_a_module_has_a_docstring_and_fits_on_a_few_screens() -> None:
    assert [module for module in MODULES if not ast.get_docstring(tree(module))] == []
    assert [module for module in MODULES if module.endswith("/utils.py")] == []
    lengths = {module: len(text.splitlines()) for module, text in MODULES.items()}
    assert {module: length for module, length in lengths.items() if length > MAX_LINES} == {}


def test_a_function_fits_on_a_screen() -> None:
    assert {
        f"{module} {node.name}": length
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := _num_lines(node)) > MAX_FUNCTION_LINES
    } == {}


def _num_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How long a function is, without its docstring."""
    assert function.end_lineno is not None
    length = function.end_lineno - function.lineno + 1
    text = ast.get_docstring(function, clean=False)
    return length - len(text.splitlines()) if text else length


def test_a_folder_has_few_modules() -> None:
    numbers = Counter(module.rpartition("/")[0] for module in MODULES)
    assert {folder: number for folder, number in numbers.items() if number > MAX_MODULES} == {}


def test_no_warning_is_silenced() -> None:
    silenced = re.compile(r"#\s*(type:\s*ignore|noqa|pragma|pylint|mypy:)")
    assert [module for module, text in MODULES.items() if silenced.search(text)] == []


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {module.rpartition("/")[0] for module in MODULES}
    assert [folder for folder in folders if f"{folder}/__init__.py" not in MODULES] == []
