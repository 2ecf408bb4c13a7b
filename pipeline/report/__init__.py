"""What a run tells: progress, figures, a page."""
