"""The configuration of a run.

Settings that affect a result are part of the fingerprint of their stage. Settings of the machine,
all in `runtime`, are not.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.corpora import (
    Columns,
    CorpusSettings,
    LocalCorpus,
    LocalLicence,
    LocalSplit,
    Synthetic,
)
from configs.distil import Distil
from configs.evaluate import Evaluate, EvaluatedModel, LongForm, Noise
from configs.filter import Contamination, Filter, Hallucination, Takedown, WithoutReference
from configs.marks import Marks
from configs.runtime import Runtime
from configs.settings import Name, Settings, holds_credentials, merged
from configs.stages import (
    Label,
    Normalise,
    Plan,
    Publish,
    Score,
    Teacher,
    VoiceActivity,
)

__all__ = [
    "Columns",
    "Contamination",
    "CorpusSettings",
    "Distil",
    "Evaluate",
    "EvaluatedModel",
    "Filter",
    "Hallucination",
    "Label",
    "LocalCorpus",
    "LocalLicence",
    "LocalSplit",
    "LongForm",
    "Marks",
    "Noise",
    "Normalise",
    "Plan",
    "Publish",
    "RunConfig",
    "Runtime",
    "Score",
    "Synthetic",
    "Takedown",
    "Teacher",
    "VoiceActivity",
    "WithoutReference",
]


class RunConfig(Settings):
    """Everything one run does, from the corpora to the evaluation of the student."""

    root: str
    """Folder or URL, such as `s3://bucket/prefix`, for all results."""
    licence: Literal["any", "commercial"] = "any"
    """`commercial`: refuse corpora whose licence forbids commercial use."""
    synthetic: Synthetic | None = None
    """Generate synthetic archives before the run, for demonstrations and tests."""
    corpora: Annotated[dict[Name, CorpusSettings], Field(min_length=1)]
    """The corpora to use, by name."""
    plan: Plan = Plan()
    normalise: Normalise = Normalise()
    label: Label
    score: Score = Score()
    filter: Filter = Filter()
    publish: Publish
    distil: Distil = Distil()
    evaluate: Evaluate = Evaluate()
    runtime: Runtime = Runtime()

    @model_validator(mode="before")
    @classmethod
    def _complete_filters_of_corpora(cls, values: Any) -> Any:
        """Merge each `corpora.X.filter` into the run's; wrong types are reported later."""
        try:
            common, corpora = values.get("filter", {}), values["corpora"]
            complete = {
                name: {**corpus, "filter": merged(common, corpus["filter"])}
                for name, corpus in corpora.items()
                if corpus.get("filter") is not None
            }
            return {**values, "corpora": {**corpora, **complete}}
        except (AttributeError, KeyError, TypeError):
            return values

    @field_validator("root")
    @classmethod
    def _root_has_no_credentials(cls, root: str) -> str:
        if holds_credentials(root):
            raise ValueError(
                "the root seems to contain credentials; give it as s3://bucket/prefix, and the"
                " credentials in the environment"
            )
        return root.rstrip("/") if root != "/" else root

    @model_validator(mode="after")
    def _paths_are_valid_on_all_machines(self) -> Self:
        paths = {"root": self.root, "label.teacher.path": self.label.teacher.path}
        for key, path in paths.items():
            if self.runtime.runner == "ray" and path is not None and not _is_anywhere(path):
                raise ValueError(
                    f"runtime.runner is ray and {key} is {path!r}, which is another folder on each"
                    " machine; give an absolute path, or for the root a URL such as"
                    " s3://bucket/prefix"
                )
        return self

    @model_validator(mode="after")
    def _speech_without_transcripts_can_be_kept(self) -> Self:
        for name, corpus in self.corpora.items():
            local = corpus.local
            if local is None or local.columns.text is not None:
                continue
            is_trained_on = any(split.role == "train" for split in local.splits.values())
            if is_trained_on and self.filter_of(name).drop_empty_reference:
                raise ValueError(
                    f"corpora.{name} has no transcripts (columns.text is null), and"
                    " filter.drop_empty_reference is true, which would drop all of its labels; set"
                    " it to false, so that filter.without_reference is applied"
                )
        return self

    @model_validator(mode="after")
    def _weights_are_of_corpora(self) -> Self:
        weights = self.distil.corpus_weights
        if unknown := sorted(weights.keys() - self.corpora.keys()):
            raise ValueError(
                f"distil.corpus_weights names {', '.join(unknown)}; the corpora of this run are"
                f" {', '.join(self.corpora)}"
            )
        return self

    def filter_of(self, corpus: str) -> Filter:
        """The filter settings of one corpus."""
        return self.corpora[corpus].filter or self.filter


def _is_anywhere(path: str) -> bool:
    """Whether a path is independent of the working directory."""
    return "://" in path or path.startswith(("/", "~"))
