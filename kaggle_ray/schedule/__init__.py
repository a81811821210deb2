"""What runs next: pure decisions, without Ray or torch."""
