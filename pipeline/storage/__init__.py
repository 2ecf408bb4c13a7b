"""Read and write objects: in folders, on S3, in any fsspec store that can create only if absent."""
