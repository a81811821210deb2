"""Where trials run: in this process, or on Ray. Ray is imported in ray_* and nowhere else."""
