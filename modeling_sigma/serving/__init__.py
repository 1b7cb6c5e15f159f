"""The HTTP service of a trained model: routes, batches of concurrent requests, limits, and what it measures of itself.

`server` starts its processes behind one port, `app` has the routes, `served_model` answers. Files that strangers send
are read in processes of their own (`bounded_workers`, which the web demo of examples/space uses too).

Not here: what is predicted (`inference`), and how a file is read (`io`).
"""
