"""The configuration of a run, as frozen values that validate themselves.

Settings that change a result enter the fingerprint of their stage; the settings of the machine,
all under `runtime`, never do.
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
from configs.settings import (
    Count,
    Name,
    Percent,
    Positive,
    Settings,
    holds_credentials,
    merged,
)
from configs.stages import (
    Contamination,
    Distil,
    Evaluate,
    Filter,
    Hallucination,
    Label,
    Normalise,
    Plan,
    Publish,
    Score,
    Takedown,
    Teacher,
    VoiceActivity,
    WithoutReference,
)

__all__ = [
    "Columns",
    "Contamination",
    "CorpusSettings",
    "Distil",
    "Evaluate",
    "Filter",
    "Hallucination",
    "Label",
    "LocalCorpus",
    "LocalLicence",
    "LocalSplit",
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


class Runtime(Settings):
    """Settings of the machine; none of them enters a fingerprint.

    With `devices` labels are made by a process for each of them, such as `[cuda:0, cuda:1]`, a
    shard at a time each; without, by this one on its `device`. `workers` bounds the tasks of the
    other stages, and the threads that decode audio ahead of a model. `label_draft` is a small model
    that drafts what the teacher then verifies: labels are the same, and sooner there if it is good.
    Where more than `tasks_per_flow_run` shards of a corpus wait for a stage, they are parted over
    several Prefect flow runs. `s3_credentials` is an AWS Credentials block of the Prefect server;
    without it the keys are those of the environment.

    With `runner: ray` shards are spread over a Ray cluster: that of `ray_address`, else that of
    RAY_ADDRESS, else one on this machine. Of its cards each shard that needs a model is given
    `ray_gpus_per_shard`; None: one with `device: cuda`, and none otherwise.
    """

    runner: Literal["threads", "ray"] = "threads"
    ray_address: str | None = None
    ray_gpus_per_shard: Annotated[float, Field(ge=0)] | None = None

    workers: Count = 2
    tasks_per_flow_run: Count = 1000
    downloads_per_host: Count = 4
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: tuple[Annotated[str, Field(pattern=r"^(cpu|cuda:\d+)$")], ...] = ()
    label_batch_size: Count = 16
    label_draft: Teacher | None = None
    micro_batch_size: Count = 16
    retries: Annotated[int, Field(ge=0)] = 2
    retry_delay_s: Annotated[float, Field(ge=0)] = 10.0
    shard_timeout_s: Positive = 6 * 3600.0
    max_quarantined_percent: Percent = 1.0
    scratch: str | None = None
    s3_credentials: Name | None = None

    @model_validator(mode="after")
    def _devices_are_of_one_kind(self) -> Self:
        kinds = {device.partition(":")[0] for device in self.devices}
        cards = [device for device in self.devices if device != "cpu"]
        if len(kinds) > 1 or len(set(cards)) < len(cards):
            raise ValueError(
                f"devices are {list(self.devices)}, expected different cards such as"
                " [cuda:0, cuda:1], or cpu for each process"
            )
        return self

    @model_validator(mode="after")
    def _a_cluster_places_shards_itself(self) -> Self:
        if self.runner == "ray" and self.devices:
            raise ValueError(
                f"runner is ray and devices are {list(self.devices)}; leave devices out, for Ray"
                " gives each shard its card"
            )
        if self.runner == "ray" and self.s3_credentials is not None:
            raise ValueError(
                f"runner is ray and s3_credentials is {self.s3_credentials!r}, which other machines"
                " do not read; put the keys into the environment of each machine"
            )
        return self


class RunConfig(Settings):
    """Everything one run does, from the corpora to the measured student."""

    root: str
    licence: Literal["any", "commercial"] = "any"
    synthetic: Synthetic | None = None
    corpora: Annotated[dict[Name, CorpusSettings], Field(min_length=1)]
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
    def _filters_of_corpora_are_whole(cls, values: Any) -> Any:
        """Each `corpora.X.filter` over the run's; what is not a mapping is refused later."""
        try:
            common, corpora = values.get("filter", {}), values["corpora"]
            whole = {
                name: {**corpus, "filter": merged(common, corpus["filter"])}
                for name, corpus in corpora.items()
                if corpus.get("filter") is not None
            }
            return {**values, "corpora": {**corpora, **whole}}
        except (AttributeError, KeyError, TypeError):
            return values

    @field_validator("root")
    @classmethod
    def _root_has_no_credentials(cls, root: str) -> str:
        if holds_credentials(root):
            raise ValueError(
                "the root holds what looks like credentials; give it as s3://bucket/prefix"
                " and the credentials by the environment"
            )
        return root.rstrip("/") if root != "/" else root

    @model_validator(mode="after")
    def _machines_of_a_cluster_find_the_same_files(self) -> Self:
        paths = {"root": self.root, "label.teacher.path": self.label.teacher.path}
        for key, path in paths.items():
            if self.runtime.runner == "ray" and path is not None and not _is_anywhere(path):
                raise ValueError(
                    f"runtime.runner is ray and {key} is {path!r}, which each machine would look"
                    " for in another folder; give a path from / on, or for the root a URL such as"
                    " s3://bucket/prefix"
                )
        return self

    @model_validator(mode="after")
    def _speech_without_texts_can_be_kept(self) -> Self:
        for name, corpus in self.corpora.items():
            local = corpus.local
            if local is None or local.columns.text is not None:
                continue
            is_trained_on = any(split.role == "train" for split in local.splits.values())
            if is_trained_on and self.filter_of(name).drop_empty_reference:
                raise ValueError(
                    f"corpora.{name} has no texts (columns.text is null), and"
                    " filter.drop_empty_reference is true, which would drop all of it after it is"
                    " labelled; set it to false, and filter.without_reference judges the labels"
                )
        return self

    def filter_of(self, corpus: str) -> Filter:
        """The rules for one corpus: its own over the run's."""
        return self.corpora[corpus].filter or self.filter


def _is_anywhere(path: str) -> bool:
    """Whether a path means the same in every working directory."""
    return "://" in path or path.startswith(("/", "~"))
