"""What the documents name is there: commands, targets, configurations, reasons."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configs.load import load_config
from flows.commands.app import app
from tasks.corpora.registry import corpus_of_run
from tasks.download.parts import chosen_splits

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    *(f"docs/{path.name}" for path in sorted((REPOSITORY / "docs").glob("*.md"))),
)
TEXT = "\n".join((REPOSITORY / name).read_text() for name in DOCUMENTS)
REASONS = "\n".join(
    line for line in (REPOSITORY / "docs/corpora.md").read_text().splitlines() if "| " in line
)
CONFIGURATIONS = [
    text
    for text in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    if "root:" in text and "corpora:" in text
]


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"(?<!from )distillery ([a-z]+)\b(?! into)", TEXT)))
)
def test_each_command_is_there(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("word", ["list", "show", "verify", "diff", "export"])
def test_each_word_for_manifests_is_there(word: str) -> None:
    assert f"{word}" in TEXT
    assert CliRunner().invoke(app, ["manifest", word, "--help"]).exit_code == 0


@pytest.mark.parametrize("option", sorted(set(re.findall(r"\[(--[a-z]+)", TEXT))))
def test_each_option_is_of_some_command(option: str) -> None:
    pages = [
        CliRunner().invoke(app, [command, "--help"]).stdout
        for command in ("run", "status", "rerun", "sweep", "explain", "evaluate", "gc", "deploy")
    ]
    assert any(option in page for page in pages)


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:`|^ +)make ([a-z-]+)", TEXT, re.MULTILINE)))
)
def test_each_target_is_in_the_makefile(target: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert target in targets


@pytest.mark.parametrize("path", sorted(set(re.findall(r"configs/[a-z.]+\.yaml", TEXT))))
def test_each_configuration_is_there_and_valid(path: str) -> None:
    assert load_config(REPOSITORY / path).corpora


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=lambda text: text.split("\n")[0])
def test_each_configuration_that_is_shown_is_valid(tmp_path: Path, text: str) -> None:
    (tmp_path / "shown.yaml").write_text(text)
    config = load_config(tmp_path / "shown.yaml")
    for name, settings in config.corpora.items():
        assert chosen_splits(corpus_of_run(config, name), settings)


@pytest.mark.parametrize("reason", sorted(set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", REASONS))))
def test_each_reason_that_is_told_is_given_somewhere(reason: str) -> None:
    sources = (REPOSITORY / "tasks").rglob("*.py")
    assert any(f'"{reason}"' in source.read_text() for source in sources)
