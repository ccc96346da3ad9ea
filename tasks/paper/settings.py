"""Results that the paper reports for the settings that a grid can vary (arXiv 2311.00430).

All rates are word error rates in percent: means over the data sets of the domains that the student
was trained on, over those of other domains, and over all. Student: large-v2 with 32 encoder layers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from configs.schema import RunConfig

_ALL_HOURS: Final = 21_770
"""Hours of the paper's training data (Table 11)."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One setting; `more` are further columns of the table, by name."""

    in_domain: float
    out_of_domain: float
    average: float
    more: Mapping[str, int | float]


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """A table of the paper: its rows by setting.

    `varies` are the settings that it is about, and `row_of` names the row of a configuration, which
    need not be one of the table. `beside` has settings that must change with one of these, and that
    one.
    """

    number: int
    title: str
    setting: str
    rows: Mapping[str, PaperRow]
    varies: tuple[str, ...]
    row_of: Callable[[RunConfig], str]
    beside: Mapping[str, str] = field(default_factory=dict)


def _threshold(config: RunConfig) -> str:
    return f"{config.filter.max_wer_percent:g} %"


def _hours(config: RunConfig) -> str:
    return f"{_ALL_HOURS * config.filter.fraction:,.0f} h"


def _layers(config: RunConfig) -> str:
    decoder, encoder = config.distil.decoder_layers, config.distil.encoder_layers
    num_decoder = decoder if isinstance(decoder, int) else len(decoder)
    if encoder is None:
        return f"32/{num_decoder}"
    return f"{encoder if isinstance(encoder, int) else len(encoder)}/{num_decoder}"


def _objective(config: RunConfig) -> str:
    weights = {
        "PL": config.distil.pseudo_label_weight,
        "KL": config.distil.kl_weight,
        "MSE": config.distil.hidden_state_weight,
    }
    return " + ".join(name for name, weight in weights.items() if weight)


THRESHOLDS: Final = PaperTable(
    number=10,
    title="The threshold, after 10,000 updates",
    setting="WER at most",
    rows={
        "100 %": PaperRow(14.8, 9.1, 13.4, {"filtered %": 0.0}),
        "80 %": PaperRow(13.5, 7.5, 12.1, {"filtered %": 6.2}),
        "40 %": PaperRow(13.3, 7.4, 12.0, {"filtered %": 11.9}),
        "20 %": PaperRow(13.1, 7.3, 11.7, {"filtered %": 24.2}),
        "15 %": PaperRow(13.0, 7.4, 11.7, {"filtered %": 32.0}),
        "10 %": PaperRow(12.6, 7.4, 11.4, {"filtered %": 45.4}),
        "5 %": PaperRow(12.6, 7.3, 11.4, {"filtered %": 60.3}),
    },
    varies=("filter.max_wer_percent",),
    row_of=_threshold,
)

DATA_SIZES: Final = PaperTable(
    number=11,
    title="The amount of training data",
    setting="hours",
    rows={
        "435 h": PaperRow(17.1, 13.8, 16.4, {"% of all": 2}),
        "871 h": PaperRow(15.1, 10.5, 14.0, {"% of all": 4}),
        "1,742 h": PaperRow(14.0, 9.2, 12.9, {"% of all": 8}),
        "3,483 h": PaperRow(13.3, 7.8, 12.0, {"% of all": 16}),
        "6,966 h": PaperRow(13.0, 7.7, 11.8, {"% of all": 32}),
        "13,933 h": PaperRow(12.8, 7.4, 11.6, {"% of all": 64}),
        "21,770 h": PaperRow(12.6, 7.4, 11.4, {"% of all": 100}),
    },
    varies=("filter.fraction",),
    row_of=_hours,
)

MODEL_SIZES: Final = PaperTable(
    number=12,
    title="The size of the student",
    setting="encoder/decoder layers",
    rows={
        "32/32": PaperRow(12.8, 5.3, 11.1, {"million parameters": 1543, "relative speed": 1.0}),
        "32/16": PaperRow(11.3, 5.4, 9.9, {"million parameters": 1124, "relative speed": 1.9}),
        "32/8": PaperRow(11.6, 6.0, 10.3, {"million parameters": 914, "relative speed": 3.0}),
        "32/4": PaperRow(12.0, 6.5, 10.8, {"million parameters": 809, "relative speed": 4.3}),
        "32/2": PaperRow(12.6, 7.4, 11.4, {"million parameters": 756, "relative speed": 5.8}),
        "16/2": PaperRow(16.0, 10.5, 14.7, {"million parameters": 441, "relative speed": 8.6}),
    },
    varies=("distil.decoder_layers", "distil.encoder_layers"),
    row_of=_layers,
    beside={"distil.freeze_encoder": "distil.encoder_layers"},
)

OBJECTIVES: Final = PaperTable(
    number=21,
    title="The objective",
    setting="terms of the loss",
    rows={
        "PL": PaperRow(12.8, 7.7, 11.6, {}),
        "PL + KL": PaperRow(12.6, 7.4, 11.4, {}),
        "PL + KL + MSE": PaperRow(12.6, 7.3, 11.4, {}),
    },
    varies=("distil.kl_weight", "distil.pseudo_label_weight", "distil.hidden_state_weight"),
    row_of=_objective,
)

PAPER_TABLES: Final = (THRESHOLDS, DATA_SIZES, MODEL_SIZES, OBJECTIVES)

PAPER_FILTERED_PERCENT: Final = {
    float(name.removesuffix(" %")): row.more["filtered %"]
    for name, row in reversed(list(THRESHOLDS.rows.items()))
}
"""Percentage of the data dropped by WER threshold in percent (Table 10)."""
