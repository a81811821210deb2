"""Mail about a run's end: what came of it, a picture of its curves, and how to go on, by SMTP or Amazon SES."""
