"""Problem families with exact generators, checkers and step labellers. Pure Python, no model."""
