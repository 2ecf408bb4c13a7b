"""The laboratory's commands, one module each; `jobs/*.py` and the console scripts call them."""
