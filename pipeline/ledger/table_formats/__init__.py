"""Publish committed runs as tables of open formats, Delta Lake and Apache Iceberg, by reference."""
