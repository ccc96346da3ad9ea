"""The settings of the machine. None of them affects a result or a fingerprint."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from configs.settings import Count, Name, Percent, Positive, Settings
from configs.stages import Teacher


class Runtime(Settings):
    """Where and with how many processes a run computes; results are the same with any of these."""

    runner: Literal["threads", "ray"] = "threads"
    """`threads`: shards run on this machine. `ray`: shards are spread over a Ray cluster."""
    ray_address: str | None = None
    """Address of the cluster; null: the one in RAY_ADDRESS, else a new one on this machine."""
    ray_gpus_per_shard: Annotated[float, Field(ge=0)] | None = None
    """GPUs that Ray reserves per shard of a model stage; null: 1 with `device: cuda`, else 0."""

    workers: Count = 2
    """Shards of CPU stages in progress at once, and threads that decode audio for a model."""
    tasks_per_flow_run: Count = 1000
    """Most shards per Prefect flow run; more are divided into several flow runs."""
    downloads_per_host: Count = 4
    """Concurrent downloads from one host."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the models; `auto`: CUDA if available."""
    devices: tuple[Annotated[str, Field(pattern=r"^(cpu|cuda:\d+)$")], ...] = ()
    """One process per entry for labelling and training, such as `[cuda:0, cuda:1]`.

    Empty: this process alone.
    """
    label_batch_size: Count = 16
    """Windows that are decoded at once."""
    label_draft: Teacher | None = None
    """A small model for speculative decoding: the same labels, sooner if its drafts are good."""
    micro_batch_size: Count = 16
    """Training windows per forward pass; limits memory without changing `distil.batch_size`."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory where the encoder is trained."""
    compile: bool = False
    """Train with torch.compile: a minute at the start, then faster; needs a C++ compiler.

    Losses are the same but for rounding, as with several `devices`.
    """
    checkpoint_every_minutes: Positive = 10.0
    """Minutes between checkpoints of a training, which it also writes after each validation."""
    encoder_cache_gb: Annotated[float, Field(ge=0)] = 10.0
    """Most gigabytes of a teacher's outputs kept on disk, so that training computes them once.

    They are those of its encoder and the last hidden states of its decoder, a tenth as large.
    Training uses them while the encoder is frozen and windows are seen several times, or with
    `device: cpu` only once, for later students. On the CPU they also serve to validate and
    evaluate models with the same encoder. A window of 30 s has 1.5 MB with Whisper base and 3.8 MB
    with large, rounded to float16 for training; held-out speech is stored as it is, twice as large
    in float32. 0: no cache.
    """
    trackers: tuple[Literal["tensorboard", "trackio", "mlflow", "wandb"], ...] | None = None
    """What follows a training, through accelerate; null: TensorBoard if it is installed.

    Servers and keys are given as each of them reads them from the environment.
    """
    tracker_folder: str | None = None
    """Local folder of their logs; null: `trackers` below a local root, else the scratch folder."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a task is retried after a temporary error."""
    retry_delay_s: Annotated[float, Field(ge=0)] = 10.0
    """Seconds before the first retry; each further delay is longer."""
    shard_timeout_s: Positive = 6 * 3600.0
    """Most seconds for one shard of one stage."""
    max_quarantined_percent: Percent = 1.0
    """Most unreadable or invalid rows of a shard, in percent; above, the shard fails."""
    max_expansion: Annotated[float, Field(ge=1)] = 100.0
    """Most bytes that an archive may expand to, as a multiple of its size; above, it is refused."""
    scratch: str | None = None
    """Local folder for temporary files; null: below a local root, else the system's."""
    s3_credentials: Name | None = None
    """Name of an AWS Credentials block of the Prefect server; null: from the environment."""

    @field_validator("tracker_folder")
    @classmethod
    def _trackers_write_to_a_folder(cls, folder: str | None) -> str | None:
        if folder is not None and "://" in folder:
            raise ValueError(
                f"tracker_folder is {folder!r}, expected a local folder, since most trackers write"
                " to nothing else"
            )
        return folder

    @model_validator(mode="after")
    def _devices_are_of_one_kind(self) -> Self:
        kinds = {device.partition(":")[0] for device in self.devices}
        gpus = [device for device in self.devices if device != "cpu"]
        if len(kinds) > 1 or len(set(gpus)) < len(gpus):
            raise ValueError(
                f"devices are {list(self.devices)}, expected different GPUs such as"
                " [cuda:0, cuda:1], or cpu for each process"
            )
        return self

    @model_validator(mode="after")
    def _ray_assigns_devices_and_credentials(self) -> Self:
        if self.runner == "ray" and self.devices:
            raise ValueError(
                f"runner is ray and devices are {list(self.devices)}; leave devices out, because"
                " Ray assigns a GPU to each shard"
            )
        if self.runner == "ray" and self.s3_credentials is not None:
            raise ValueError(
                f"runner is ray and s3_credentials is {self.s3_credentials!r}, which other machines"
                " do not read; put the keys into the environment of each machine"
            )
        return self
