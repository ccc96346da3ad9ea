"""Loading a configuration: one frozen value, or one line that names each mistake."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from configs.load import ConfigError, load_config
from configs.schema import RunConfig

CONFIGS = Path(__file__).parents[2] / "configs"
REVISION = "0123456789abcdef0123456789abcdef01234567"
MINIMAL = {
    "root": "results",
    "corpora": {"librispeech": {}},
    "label": {"teacher": {"path": "teacher"}},
    "publish": {"name": "demo"},
}


def changed(where: str, value: Any) -> dict[str, Any]:
    """The minimal configuration with `value` at a dotted key; None removes the key."""
    config: dict[str, Any] = yaml.safe_load(yaml.safe_dump(MINIMAL))
    *above, last = where.split(".")
    block = config
    for part in above:
        block = block.setdefault(part, {})
    block[last] = value
    if value is None:
        del block[last]
    return config


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"


def load(path: Path, config: Any) -> RunConfig:
    path.write_text(yaml.safe_dump(config))
    return load_config(path)


def mistake(path: Path, config: Any) -> str:
    """The error message; it names the file and is one line."""
    if not isinstance(config, str):
        config = yaml.safe_dump(config)
    path.write_text(config)
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    message = str(raised.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("checked_in", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_checked_in_configuration_is_valid(checked_in: Path) -> None:
    assert load_config(checked_in).corpora


def test_the_minimal_configuration_has_the_papers_defaults(path: Path) -> None:
    config = load(path, MINIMAL)
    assert config.root == "results"
    assert config.filter.max_wer_percent == 10.0
    assert (config.distil.kl_weight, config.distil.pseudo_label_weight) == (0.8, 1.0)
    assert (config.distil.num_steps, config.distil.batch_size) == (80_000, 256)
    assert config.corpora["librispeech"].splits is None


def test_the_paper_is_followed_in_how_it_labelled() -> None:
    paper, full = (load_config(CONFIGS / f"{name}.yaml") for name in ("paper", "full"))
    assert (paper.label.pack, paper.label.temperatures) == ("none", (0.0,))
    same_labels = {"pack": full.label.pack, "temperatures": full.label.temperatures}
    assert paper.label.model_copy(update=same_labels) == full.label
    assert paper.corpora == full.corpora
    assert paper.distil == full.distil


@pytest.mark.parametrize("frozen", ["", "label", "label.teacher", "runtime"])
def test_a_configuration_cannot_be_changed(path: Path, frozen: str) -> None:
    block: Any = load(path, MINIMAL)
    for part in filter(None, frozen.split(".")):
        block = getattr(block, part)
    name = next(iter(type(block).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(block, name, getattr(block, name))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("rooot", "rooot: unknown key; did you mean root?"),
        ("filter.max_wer", "filter.max_wer: unknown key; did you mean max_wer_percent?"),
        ("label.teacher.revison", "label.teacher.revison: unknown key; did you mean revision?"),
        ("corpora.librispeech.mirrors", "corpora.librispeech.mirrors: unknown key; did you mean"),
        ("corpora.mirror.zzz", "corpora.mirror.zzz: unknown key; known: mirror, checksums"),
        ("publish.zzz", "publish.zzz: unknown key; known: name, allow_missing_shards"),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(path: Path, where: str, expected: str) -> None:
    assert expected in mistake(path, changed(where, 1))


@pytest.mark.parametrize("missing", ["root", "corpora", "label.teacher", "publish.name"])
def test_a_missing_key_is_named(path: Path, missing: str) -> None:
    assert f"{missing}: missing" in mistake(path, changed(missing, None))


@pytest.mark.parametrize(
    ("where", "found", "expected"),
    [
        ("distil.num_steps", "many", "integer"),
        ("distil.num_steps", 0, "greater than or equal to 1"),
        ("filter.max_wer_percent", -1, "greater than or equal to 0"),
        ("filter.max_wer_percent", float("nan"), "finite"),
        ("corpora.librispeech.limit_hours", float("inf"), "finite"),
        ("label.dtype", "int8", "'float32', 'bfloat16' or 'float16'"),
        ("distil.timestamp_probability", 1.5, "less than or equal to 1"),
        ("corpora.librispeech.splits", "train", "tuple"),
        ("publish.name", "../up", "pattern"),
        ("label.teacher.revision", "main", "[0-9a-f]{40}"),
    ],
)
def test_a_wrong_value_is_reported_with_the_expected_one(
    path: Path, where: str, found: Any, expected: str
) -> None:
    message = mistake(path, changed(where, found))
    assert where in message
    assert f"found {found!r}" in message
    assert expected in message


def test_all_mistakes_are_reported_at_once(path: Path) -> None:
    config = changed("rooot", 1) | {"distil": {"num_steps": 0}, "filter": {"zzz": 1}}
    message = mistake(path, config)
    assert all(where in message for where in ("rooot", "distil.num_steps", "filter.zzz"))


def test_an_empty_list_of_corpora_is_refused(path: Path) -> None:
    assert "corpora" in mistake(path, changed("corpora", {}))


@pytest.mark.parametrize(
    ("teacher", "expected"),
    [
        ({"hub": "openai/whisper-large-v2"}, "openai/whisper-large-v2"),
        ({"path": "teacher", "hub": "openai/whisper-tiny", "revision": REVISION}, "either"),
        ({}, "either"),
        ({"hub": "whisper", "revision": REVISION}, "hub"),
    ],
)
def test_a_teacher_is_one_pinned_source(path: Path, teacher: dict[str, str], expected: str) -> None:
    assert expected in mistake(path, changed("label.teacher", teacher))


def test_a_hub_teacher_with_its_commit_is_valid(path: Path) -> None:
    teacher = {"hub": "openai/whisper-large-v2", "revision": REVISION}
    assert load(path, changed("label.teacher", teacher)).label.teacher.revision == REVISION


@pytest.mark.parametrize("where", ["root", "corpora.librispeech.mirror"])
@pytest.mark.parametrize(
    "url", ["s3://someone:hidden@bucket/x", "s3://someone:hid/hidden@bucket", "https://hidden@host"]
)
def test_credentials_are_refused_and_not_repeated(path: Path, where: str, url: str) -> None:
    message = mistake(path, changed(where, url))
    assert where in message
    assert "credentials" in message
    assert "hidden" not in message


@pytest.mark.parametrize(
    ("root", "expected"),
    [("s3://bucket/prefix/", "s3://bucket/prefix"), ("data@home/x", "data@home/x"), ("/", "/")],
)
def test_other_roots_are_valid(path: Path, root: str, expected: str) -> None:
    assert load(path, changed("root", root)).root == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root: a\nroot: b\n", "line 2: duplicate key 'root'"),
        ("root: a\nlabel:\n  dtype: float32\n  dtype: float16\n", "line 4: duplicate key 'dtype'"),
        ("root: [unclosed\n", "is not YAML"),
        ("root: !!python/object:os.system x\n", "is not YAML"),
        ("root: 2024-13-45\n", "is not YAML: month must be in 1..12"),
        ("root: !!float x\n", "is not YAML"),
        ("root: !!int ''\n", "is not YAML"),
        ("root: !!bool maybe\n", "is not YAML"),
        ("root: !!timestamp x\n", "is not YAML"),
        ("root: !!map [a]\n", "is not YAML"),
        ('root: "\\U00110000"\n', "is not YAML"),
        (f"root: {'9' * 5000}\n", "is not YAML"),
        (f"root: {'[' * 2000}\n", "is not YAML"),
        ("", "expected keys such as root"),
        ("- a\n- b\n", "contains list, expected keys"),
    ],
)
def test_invalid_files_are_refused(path: Path, text: str, expected: str) -> None:
    assert expected in mistake(path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")


def test_a_binary_file_is_named(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        load_config(path)


def test_the_schema_describes_every_setting() -> None:
    definitions = RunConfig.model_json_schema()["$defs"]
    undescribed = {
        f"{block}.{name}"
        for block, definition in definitions.items()
        for name, field in definition["properties"].items()
        if "description" not in field and "$ref" not in field
    }
    assert undescribed == set()
    assert all("description" in definition for definition in definitions.values())
