"""The run folder: the only truth there is. A rerun is a resume."""
