"""Collection steps: what only a model can make of a run that is done, appended to its folder for exports to read."""
