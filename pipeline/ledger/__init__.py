"""What is true about a run: create-once records in the output store, and what reads them."""
