"""Turn a decoded photo into its crops: shapes, candidates, search, choice."""
