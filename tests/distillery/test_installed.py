"""Installed from a wheel, elsewhere: the bundled demo runs, and its manifest is read."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import distillery
from tests.flows.running import environment

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("configs", "storage", "tasks", "flows", "distillery")
LIMIT_S = 280

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder where its demo ran."""

    wheel: Path
    environment: Path
    folder: Path

    def run(self, *words: str) -> str:
        """What a program of the environment prints; it sees nothing of the checkout."""
        done = subprocess.run(
            [str(self.environment / "bin" / words[0]), *words[1:]],
            cwd=self.folder, env=environment(PYTHONPATH="", PYTHONSAFEPATH="1"),
            capture_output=True, text=True, timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def build_wheel(folder: Path) -> Path:
    """The wheel of the checkout, built from a copy: a build leaves files beside its sources."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, timeout=LIMIT_S)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment of its own, whose other packages are those of the tests.

    A path in a `.pth` file adds these without their own `.pth` files, and so without an editable
    installation of the checkout.
    """
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(folder)
    made = folder / "environment"
    venv.create(made, with_pip=False, symlinks=True)
    python = str(made / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", str(wheel)], check=True, timeout=LIMIT_S)
    [site] = made.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    empty = folder / "empty"
    empty.mkdir()
    found = Installed(wheel, made, empty)
    found.run("distillery", "run", "tiny")
    return found


def test_the_wheel_holds_the_configurations_the_teacher_and_the_marks_of_types(
    installed: Installed,
) -> None:
    assert installed.wheel.name.startswith("speech_distillery-")
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = set(wheel.namelist())
    tracked = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", *PACKAGES],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(tracked) <= names


def test_the_checkout_is_out_of_sight(installed: Installed) -> None:
    code = "import configs, distillery, tasks; print(distillery.__file__, tasks.__file__)"
    files = installed.run("python", "-c", code).split()
    assert all(Path(file).is_relative_to(installed.environment) for file in files)
    assert installed.run("distillery", "--version") == f"distillery {distillery_version()}\n"
    assert installed.run("python", "-m", "distillery", "--version").startswith("distillery ")


def distillery_version() -> str:
    text = (REPOSITORY / "pyproject.toml").read_text()
    return text.partition('\nversion = "')[2].partition('"')[0]


def test_the_demo_ran_and_its_manifest_is_read_by_the_installed_package(
    installed: Installed,
) -> None:
    code = """
import json, distillery
config = distillery.load_config("tiny")
stream = distillery.open_manifest(config.root, config.publish.name, num_epochs=1)
examples = list(stream)
result = distillery.run("tiny")
evidence = distillery.read_evidence(config)
kept = distillery.read_kept(config, columns=["window_id"])
print(json.dumps({
    "version": distillery.__version__,
    "examples": [example.window_id for example in examples],
    "seconds": sum(len(example.samples) for example in examples) / 16000,
    "digest": result.manifest.digest,
    "windows": result.manifest.content.num_windows,
    "student": result.student,
    "teacher_wer": result.report.teacher.wer_percent,
    "evidence": evidence.column("window_id").to_pylist(),
    "kept": kept.column("window_id").to_pylist(),
}))
"""
    found = json.loads(installed.run("python", "-c", code))
    assert found["version"] == distillery_version()
    assert sorted(found["examples"]) == sorted(found["kept"])
    assert set(found["kept"]) < set(found["evidence"])
    assert len(found["examples"]) == found["windows"] > 0
    assert found["seconds"] > 0
    assert (installed.folder / found["student"] / "config.json").is_file()
    assert found["teacher_wer"] >= 0
    shown = json.loads(installed.run("distillery", "manifest", "show", "tiny", "--json"))
    assert shown["digest"] == found["digest"]
    assert shown["versions"]["distillery"] == distillery_version()


def test_evidence_is_read_shard_by_shard_with_its_place(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(installed.folder)
    config = distillery.load_config("tiny")
    every = distillery.read_evidence(config)
    assert every.column_names[:4] == ["corpus", "split", "shard", "window_id"]
    assert set(every.column("corpus").to_pylist()) == {"librispeech"}
    assert set(every.column("split").to_pylist()) == {"train-clean-100"}
    assert every.column("shard").to_pylist() == sorted(every.column("shard").to_pylist())
    batches = list(distillery.evidence_batches("tiny", columns=["wer_percent"]))
    assert len(batches) >= len(set(every.column("shard").to_pylist())) > 1
    assert sum(batch.num_rows for batch in batches) == every.num_rows
    assert batches[0].schema.names == ["corpus", "split", "shard", "wer_percent"]
    places = distillery.read_evidence(config, corpora=["librispeech"], columns=["shard"])
    assert places.num_rows == every.num_rows
    assert distillery.read_kept(config).num_rows < every.num_rows
    until_publish = distillery.run("tiny", until="publish")
    assert until_publish.manifest is not None
    assert until_publish.student is until_publish.report is None
