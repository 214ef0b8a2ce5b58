"""The scheduler work's programs: the same small tasks under each scheduler, one file for each."""
