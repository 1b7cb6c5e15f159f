"""The invented sign language behind the corpus `synthetic`: body, vocabulary, grammar and signing.

Not here: the corpus itself (`datasets_scripts.synthetic`), which samples clips of it.
"""
