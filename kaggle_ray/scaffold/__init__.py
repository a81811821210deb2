"""A new competition: what its files tell, and the file that declares it."""
