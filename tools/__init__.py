"""Tools that an actor may call and a critic may check with."""
