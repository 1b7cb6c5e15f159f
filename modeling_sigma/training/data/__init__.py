"""What a run is trained and judged on: the clips of its corpora, their batches, and new tokenizers."""
