"""How problems, solutions and critiques are put to a model, and how its text is read."""
