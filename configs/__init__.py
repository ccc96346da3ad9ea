"""What a run is to do: one frozen, validated value. Knows neither storage nor audio nor Prefect."""
