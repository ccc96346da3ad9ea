"""What the engine's log says about its draft."""

import logging
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class DraftTrial(logging.Handler):
    """Captures the engine's log record about its draft."""

    records: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.INFO)
        logger = logging.getLogger("tasks.whisper.decoding.speculation")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the arguments: on or off, tokens drafted, tokens gained, and two times in ms."""
        if isinstance(record.args, tuple):
            self.records.append(record.args)

    def figures(self) -> dict[str, Any]:
        """The figures of the last record; empty if there is none.

        `acceptance` is the share of drafted tokens that were accepted.
        """
        if not self.records:
            return {}
        state, num_drafted, gained, verified_ms, plain_ms = self.records[-1]
        return {
            "speculation": state,
            "acceptance": (float(gained) - 1) / int(num_drafted),
            "tokens_per_verification": float(gained),
            "verification_ms": float(verified_ms),
            "plain_step_ms": float(plain_ms),
        }
