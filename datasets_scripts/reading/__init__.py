"""What the corpora share: their builder, tables of labels, skeleton files, hand tracking, and splits."""
