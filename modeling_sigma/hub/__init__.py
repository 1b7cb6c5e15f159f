"""Models on the Hub: bundles that load anywhere, checks before publishing, model cards, licenses, and publishing; and
the models that come with the package.

Not here: loading what is there (`inference`), and converting checkpoints of other projects (`conversion`).
"""
