"""From a decoded photo to its crops: shapes, candidates, search, choice."""
