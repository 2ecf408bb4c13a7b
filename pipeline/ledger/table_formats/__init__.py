"""Publish committed runs as tables of open formats, Delta Lake and Apache Iceberg, by reference.

published_rows   the rows that a run replaces, and copies of the rest of a file
table_addresses  addresses that the formats' libraries misread

delta            publishes runs, and forgets photos
delta_changes    the files that a commit adds and removes
delta_tables     a table: opening, creating, extending
delta_types      one type per column

iceberg          publishes runs, or what is live, and forgets photos
iceberg_tables   updates the tables
iceberg_files    the files that follow from a table's runs
iceberg_runs     the runs of a table, in its properties
iceberg_types    one type per column
iceberg_catalog  the catalogue in the store itself
"""
