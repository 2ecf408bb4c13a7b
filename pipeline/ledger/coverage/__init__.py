"""Find which photos of a list are to be done: what committed runs cover, and an index of that."""
