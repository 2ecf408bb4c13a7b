"""Read weights files safely, map their names for tensors, and convert networks from and to them.

files      bytes to tensors; a file is untrusted until its size, hash and content are checked
names      the published names of S2CNet's and GAIC's tensors
faults     how a state dict differs from the expected one
published  networks from and to state dicts in the published layout
"""
