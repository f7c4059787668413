"""Training: of the embedded pair, and thin drivers over other libraries."""
