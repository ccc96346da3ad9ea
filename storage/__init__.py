"""Where results live and how they are committed. Knows neither audio nor Whisper nor Prefect."""
