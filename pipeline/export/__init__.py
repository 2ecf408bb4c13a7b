"""Export a run's decisions to image services, style sheets and CMSs, which do their own cutting.

crops.py      one decision, and iteration over a run's decisions
focal.py      focal points: what a focal point shows, and which one shows a crop best
services.py   imgproxy, thumbor, Cloudinary, imgix: fragments of their URLs
pages.py      IIIF, CSS, WordPress
formats.py    the formats by name, and the lines that are written
hugging_face.py
              a data set of crops for Hugging Face
"""
