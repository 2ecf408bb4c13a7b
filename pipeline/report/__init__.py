"""Report on a run: progress and events, figures for monitoring, pages that show its crops."""
