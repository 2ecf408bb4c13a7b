"""`make gpu-proof`: prove and measure the product on a machine with a GPU, without a network.

It runs from the source tree with the Python that has torch there; what else that lacks is brought
along as wheels. Each step is a process of its own, so that one that crashes costs nothing but
itself, and writes rows into one JSON document, from which the page is made.

machine     what there is
tests       compile the kernels, run the tests marked `gpu`
networks    the two networks alone, by batch, precision and memory layout
scoring     S2CNet's definition, fast path and CUDA graphs, with their quality
worker      one scoring worker: see and choose, crops held to those of the CPU, a profile
stages      decoding and encoding on one core and on all, and by the GPU's own JPEG engine
job         the whole job on Ray, with one scoring worker and with the default number, and what its
            processes use and wait for
arithmetic  what follows for a machine of 8, 16 and 32 cores
"""
