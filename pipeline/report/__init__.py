"""Report on a run: progress and events, figures for monitoring, a page of its crops."""
