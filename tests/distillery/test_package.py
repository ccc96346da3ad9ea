"""The public package: what it offers, and what importing it costs."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import distillery
from configs import bundled
from configs.version import installed_version

REPOSITORY = Path(__file__).parents[2]
ALL_PACKAGES = ("configs", "storage", "tasks", "flows", "distillery")


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, distillery; distillery.load_config('tiny');"
        "heavy = {'torch', 'prefect', 'pyarrow', 'transformers'} & set(sys.modules);"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there_and_documented() -> None:
    for name in distillery.__all__:
        value = getattr(distillery, name)
        assert name == "__version__" or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = distillery.nothing
    assert distillery.__version__ == installed_version()


@pytest.mark.parametrize("package", ALL_PACKAGES)
def test_every_package_is_marked_as_typed(package: str) -> None:
    assert (REPOSITORY / package / "py.typed").is_file()


def test_a_bundled_configuration_is_loaded_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"demo", "tiny"} <= set(bundled.bundled_names())
    config = distillery.load_config("tiny")
    assert config == distillery.load_config(REPOSITORY / "configs" / "tiny.yaml")
    assert config.label.teacher.folder == REPOSITORY / "tasks" / "demo" / "teacher"
    (tmp_path / "tiny").write_text("root: here")
    with pytest.raises(distillery.ConfigError, match="corpora: missing"):
        distillery.load_config("tiny")  # a file of that name comes first
    with pytest.raises(distillery.ConfigError, match=r"no-such.*bundled configuration: demo, "):
        distillery.load_config("no-such")


def test_a_folder_of_the_working_directory_comes_before_the_installed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "tasks" / "demo" / "teacher"
    own.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    teacher = distillery.load_config("demo").label.teacher
    assert teacher.folder is not None
    assert teacher.folder.absolute() == own


def test_mistakes_are_errors_that_name_what_there_is(tmp_path: Path) -> None:
    config = distillery.load_config("tiny").model_copy(update={"root": str(tmp_path / "root")})
    with pytest.raises(distillery.UserError, match="no stage 'lable'; the stages are download"):
        distillery.run("tiny", until="lable")
    with pytest.raises(distillery.UserError, match="columns: no 'wer'; there are corpus, split"):
        distillery.read_evidence(config, columns=["wer"])
    with pytest.raises(distillery.UserError, match="corpora: no 'ami'; there are librispeech"):
        distillery.read_evidence(config, corpora=["ami"])
    with pytest.raises(distillery.UserError, match=r"columns is the text 'wer_percent'; give a"):
        distillery.read_evidence(config, columns="wer_percent")
    with pytest.raises(distillery.UserError, match="no manifest tiny"):
        distillery.open_manifest(config.root, "tiny")
    with pytest.raises(ValidationError, match="frozen"):
        config.root = "elsewhere"


def test_no_evidence_is_an_empty_table_of_the_same_columns(tmp_path: Path) -> None:
    config = distillery.load_config("tiny").model_copy(update={"root": str(tmp_path / "root")})
    found = distillery.read_evidence(config, columns=["wer_percent"])
    assert (found.num_rows, found.column_names) == (0, ["corpus", "split", "shard", "wer_percent"])


def test_the_doctests_hold() -> None:
    assert doctest.testmod(bundled) == (0, doctest.testmod(bundled).attempted)


def test_no_text_names_the_package_of_another_project() -> None:
    files = subprocess.run(
        ["/usr/bin/env", "git", "ls-files",
         "*.py", "*.md", "*.toml", "*.yml", "*.yaml", "Makefile", "Dockerfile"],
        cwd=REPOSITORY, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    wrong = "install 'distillery", "install distillery", " distillery[", "'distillery["
    assert [
        file
        for file in files
        if file != "tests/distillery/test_package.py"
        and any(words in (REPOSITORY / file).read_text() for words in wrong)
    ] == []
