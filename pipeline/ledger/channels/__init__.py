"""Keep which runs are live in which channel, move channels, and publish their crops under names."""
