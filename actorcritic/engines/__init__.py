"""Where tokens come from; heavy imports happen inside the modules that need them."""
