"""The listening room: the utterances of a run in a browser, and what a listener decides."""
