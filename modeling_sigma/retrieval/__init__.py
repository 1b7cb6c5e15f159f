"""Search among stored embeddings of clips and texts."""
