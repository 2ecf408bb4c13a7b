"""`make gpu-proof`: prove and measure the product on a machine with a GPU, without a network.

It runs from the source tree with the machine's Python, which has torch; other missing packages are
brought along as wheels. Each step runs in its own process, so that a crash affects no other step,
and writes rows into one JSON document, from which the page is made.

machine     hardware and versions
tests       compile the kernels, run the tests marked `gpu`
networks    the two networks alone, by batch, precision and memory layout
scoring     S2CNet's definition, fast path and CUDA graphs, with their quality
worker      one scoring worker: detect and choose, compare crops with the CPU's, and profile
stages      decoding and encoding on one core and on all, and by the GPU's own JPEG engine
job         the whole job on Ray, with one scoring worker and with the default number, and what its
            processes use and wait for
arithmetic  what the figures mean for machines with 8, 16 and 32 cores
"""
