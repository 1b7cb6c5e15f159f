"""The invented sign language behind the corpus `synthetic`: body, vocabulary, grammar and signing."""
