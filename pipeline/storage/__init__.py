"""Where photos and results lie: folders, S3, any fsspec store that can create once."""
