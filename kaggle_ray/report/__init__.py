"""What a run came to: the leaderboard, and one HTML page to read, keep and send."""
