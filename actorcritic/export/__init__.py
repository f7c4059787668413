"""Training data from run folders: one small module per recipe, one framework for what all of them owe.

A recipe turns one episode into rows and counted drops (`recipes/`); `pipeline` does the rest: provenance, leakage,
held-out and benchmark problems, lengths, split, files, manifest. Never calls a model: where a recipe needs one, a
collection step has appended events. CONTRIBUTING.md says how a recipe is added.
"""
