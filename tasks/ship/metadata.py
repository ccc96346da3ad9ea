"""The metadata of a model card, as the Hub reads them: YAML at the head of README.md.

The keys are those of the Hub's specification of model cards.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from tasks.card import hub_licence
from tasks.ship.facts import Format, StudentFacts

_TASK: Final = "automatic-speech-recognition"
_LIBRARIES: Final = {"hf": "transformers", "ctranslate2": "ctranslate2", "onnx": "onnx"}


def render_metadata(facts: StudentFacts, format: Format) -> str:
    """The metadata with the lines of hyphens around them.

    A teacher that is not on the Hub has no name there, and neither has a corpus from elsewhere.
    """
    values: dict[str, Any] = {
        "language": list(facts.languages),
        **hub_licence(facts.manifest.licences.values()),
        "library_name": _LIBRARIES[format],
        "pipeline_tag": _TASK,
    }
    if facts.teacher_on_hub is not None:
        # the Hub has no word for a student; of its four, this is the one for trained weights
        values |= {"base_model": facts.teacher_on_hub[0], "base_model_relation": "finetune"}
    values["tags"] = ["whisper", "distillation", "distillery"]
    if facts.hub_data:
        values["datasets"] = sorted(set(facts.hub_data.values()))
    values["metrics"] = ["wer"]
    if results := list(_results(facts)):
        values["model-index"] = [{"name": facts.name, "results": results}]
    # ASCII, so that no control character of a name reaches a terminal
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n"


def _results(facts: StudentFacts) -> Iterator[dict[str, Any]]:
    for corpus, rates in (facts.report.by_corpus if facts.report else {}).items():
        if (rate := rates.get("student")) is None:
            continue
        dataset = {
            "name": corpus,
            "type": facts.hub_data.get(corpus, corpus),
            "split": facts.evaluated_role,
        }
        yield {
            "task": {"type": _TASK, "name": "Automatic Speech Recognition"},
            "dataset": dataset,
            "metrics": [{"type": "wer", "name": "WER (%)", "value": round(rate, 2)}],
        }
