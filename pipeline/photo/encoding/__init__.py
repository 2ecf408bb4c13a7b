"""Cut thumbnails from a decoded photo, draw whole photos on a canvas, and encode both."""
