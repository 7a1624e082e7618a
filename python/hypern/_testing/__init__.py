"""What the pytest plugin puts in the place of pools: one connection that undoes all, or a copy."""
