"""onspec: industrial visual inspection from scratch to production.

Read the packages in the order the data flows: domain, imaging, datasets, decision, recipe, evaluation, training,
runtime, service, cli. Importing onspec, inspecting and serving load no torch.
"""

__version__ = "0.1.0"
