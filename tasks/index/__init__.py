"""What an utterance is told again by: its words and its sound, wherever else they stand."""
