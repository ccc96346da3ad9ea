"""The types of settings in words, from their JSON schema."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs.generator.markdown import code

_LIMITS: Final = {
    "exclusiveMinimum": "more than",
    "minimum": "at least",
    "exclusiveMaximum": "less than",
    "maximum": "at most",
}
_WORDS: Final = {"string": "text", "boolean": "true or false", "null": "null"}
_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


def type_text(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema allows.

    >>> type_text({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]})
    'number, more than 0, or null'
    >>> type_text({"type": "array", "items": {"type": "string"}})
    'list of text'
    """
    if "anyOf" in schema:
        *first, last = [type_text(one) for one in schema["anyOf"]]
        comma = "," if any("," in one for one in first) else ""
        return f"{', '.join(first)}{comma} or {last}"
    if "enum" in schema or "const" in schema:
        return " or ".join(map(code, schema.get("enum", [schema.get("const")])))
    kind = schema.get("type", "any value")
    if kind == "array":
        return f"list of {type_text(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties", True)
        return f"name to {type_text({} if inner is True else inner)}"
    limits = list(_limits(schema))
    return ", ".join([_WORDS.get(kind, kind), *limits])


def _limits(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, words in _LIMITS.items():
        if name in schema:
            yield f"{words} {schema[name]:g}"
    pattern = schema.get("pattern")
    if pattern == _NAME:
        yield "without spaces"
    elif pattern:
        yield f"matching {code(pattern)}"
