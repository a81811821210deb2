"""Runs that a team shares: pushed to a bucket or a shared folder by content, and pulled as data that nobody trusts."""
