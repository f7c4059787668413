"""Reading what models write: steps of a solution, critiques at two levels, scores from token probabilities."""
