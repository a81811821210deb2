"""What a run answers, row by row: the table of its scored rows, selections of it, and what labels are worth."""
