"""The story of a run, from a competition to a verified submission: ``driver.py`` is to be read first."""
