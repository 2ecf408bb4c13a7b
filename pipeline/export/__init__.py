"""Tell what a run decided to image services, style sheets and CMSs, which cut for themselves.

crops.py      one decision, and the run's decisions one by one
focal.py      focal points: what one shows, and which shows a crop best
services.py   imgproxy, thumbor, Cloudinary, imgix: fragments of their URLs
pages.py      IIIF, CSS, WordPress
formats.py    the formats by name, and the lines that are written
"""
