"""Search policies: pure, ask/tell, standard library only."""
