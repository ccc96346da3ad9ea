"""The shape of MLPerf Inference's Whisper benchmark, and the results published for it.

The benchmark: large-v3 on LibriSpeech packed into 1,633 windows of up to 30 s, float16, greedy,
without timestamps, previous text or fallback, in the offline scenario: audio in memory to text.
Here it has the same shape on any weights; accuracy is not judged.
"""

from typing import Any, Final

LIBRISPEECH_FILLED: Final = 0.77
"""The share of a window that its speech fills: about 1,550 times real time at 67 windows/s."""

PUBLISHED: Final = {
    "B200": 89.3,
    "H200": 67.9,
    "H100 NVL": 43.6,
    "L40S": 18.3,
    "L4": 5.5,
}
"""Windows per second and GPU of the best entry of MLPerf Inference v5.1, offline, large-v3."""


def rates(found: dict[str, Any]) -> dict[str, Any]:
    """Windows per second and multiples of real time of each row, in memory, beside `PUBLISHED`."""
    return {
        "rows": [
            {
                "key": row["key"],
                "dtype": row["dtype"],
                "windows_per_s": row["windows"] / row["in_memory_s"],
                "rtfx": row["audio_s"] / row["in_memory_s"],
                "tokens_per_window": row["tokens"] / row["windows"],
            }
            for row in found["rows"]
        ],
        "published_windows_per_s": PUBLISHED,
    }


def table(found: dict[str, Any]) -> str:
    """The rates as text."""
    lines = [
        f"{found['teacher']} on {found['device']}, shaped like MLPerf Inference v5.1 Whisper:"
        " packed, greedy, offline",
        f"{'':<14}{'precision':<14}{'windows/s':>10}{'RTFx':>10}{'tokens/window':>15}",
    ]
    lines += [
        f"{row['key']:<14}{row['dtype']:<14}{row['windows_per_s']:>10.2f}{row['rtfx']:>10.1f}"
        f"{row['tokens_per_window']:>15.1f}"
        for row in found["mlperf"]["rows"]
    ]
    published = ", ".join(f"{gpu} {rate}" for gpu, rate in PUBLISHED.items())
    lines.append(f"published for large-v3 in float16, windows/s: {published}")
    return "\n".join(lines) + "\n"
