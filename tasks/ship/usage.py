"""The section of a model card on its use: code for each format."""

import json
from collections.abc import Iterator
from typing import Final

from tasks.audio import SAMPLE_RATE_HZ
from tasks.ship.facts import Format, StudentFacts
from tasks.text.display import json_lines

_TRANSFORMERS: Final = """\
import soundfile
from transformers import pipeline

transcribe = pipeline("automatic-speech-recognition", model={student})
samples, rate_hz = soundfile.read("recording.wav")  # mono, 16 kHz
print(transcribe({{"raw": samples, "sampling_rate": rate_hz}})["text"])
"""

_ASSISTANT: Final = """\
import soundfile
from transformers import AutoProcessor, WhisperForConditionalGeneration

teacher = WhisperForConditionalGeneration.from_pretrained({teacher})
student = WhisperForConditionalGeneration.from_pretrained({student})
processor = AutoProcessor.from_pretrained({student})
samples, rate_hz = soundfile.read("recording.wav")  # mono, 16 kHz, at most one window
features = processor(samples, sampling_rate=rate_hz, return_tensors="pt").input_features
tokens = teacher.generate(features, assistant_model=student)
print(processor.batch_decode(tokens, skip_special_tokens=True)[0])
"""

_FASTER_WHISPER: Final = """\
from faster_whisper import WhisperModel

model = WhisperModel({student}, compute_type="float32")
segments, _ = model.transcribe("recording.wav")
print("".join(segment.text for segment in segments))
"""

_OPTIMUM: Final = """\
import soundfile
from optimum.onnxruntime import ORTModelForSpeechSeq2Seq
from transformers import AutoProcessor, pipeline

processor = AutoProcessor.from_pretrained({student})
transcribe = pipeline(
    "automatic-speech-recognition",
    model=ORTModelForSpeechSeq2Seq.from_pretrained({student}),
    tokenizer=processor.tokenizer,
    feature_extractor=processor.feature_extractor,
)
samples, rate_hz = soundfile.read("recording.wav")  # mono, 16 kHz
print(transcribe({{"raw": samples, "sampling_rate": rate_hz}})["text"])
"""


_FASTER_WHISPER_SAMPLES: Final = 480_000
"""The window of faster-whisper, 30 s at 16 kHz, whatever the model has."""


def usage_lines(facts: StudentFacts, format: Format, location: str) -> Iterator[str]:
    """How to transcribe with the student at `location`, a folder or a name on the Hub."""
    student = _literal(location)
    yield from ("", "## How to use it", "")
    if format == "ctranslate2":
        if facts.window_samples != _FASTER_WHISPER_SAMPLES:
            yield (
                "With `ctranslate2.models.Whisper` and the tokenizer in `tokenizer.json`."
                " faster-whisper needs windows of 30 s, and those of this model have"
                f" {facts.window_samples / SAMPLE_RATE_HZ:g} s."
            )
            return
        yield (
            "With faster-whisper. `compute_type` may also be `float16` on a GPU, or `int8`, which"
            " takes less memory and may change words:"
        )
        yield from _code(_FASTER_WHISPER.format(student=student))
        return
    if format == "onnx":
        yield "With Optimum and ONNX Runtime:"
        yield from _code(_OPTIMUM.format(student=student))
        yield ""
        yield 'transformers.js reads the same files, with `dtype: "fp32"`.'
        return
    yield "With transformers:"
    yield from _code(_TRANSFORMERS.format(student=student))
    yield ""
    yield (
        "As the assistant of its teacher, which then writes the same text as alone, in less time if"
        " the student is right often:"
    )
    yield from _code(_ASSISTANT.format(student=student, teacher=_teacher(facts)))


def _teacher(facts: StudentFacts) -> str:
    if facts.teacher_on_hub is None:
        return '"path/of/the/teacher"'
    repository, revision = map(_literal, facts.teacher_on_hub)
    return f"{repository}, revision={revision}"


def _literal(text: str) -> str:
    """Text as a string of Python, on one line, without control characters."""
    return json_lines(json.dumps(text))


def _code(text: str) -> Iterator[str]:
    yield from ("", "```python", text.rstrip("\n"), "```")
