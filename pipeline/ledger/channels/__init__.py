"""Record which runs are live in each channel, as numbered versions."""
