"""Do tasks on a Ray cluster. The only part of the line that imports ray.

shares   join a cluster or start one, and share it out among the stages
flow     bring tasks through the stages: bounded, so that none is starved
causes   what Ray's errors say, in a line
"""
