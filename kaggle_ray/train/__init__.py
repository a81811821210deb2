"""The training core, from one step to a committed trial. It knows nothing of Ray."""
