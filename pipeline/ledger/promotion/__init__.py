"""Make a committed run available: measure it for a gate, promote it, publish its crops.

measure          the figures of a run that a gate judges
promotion        makes runs live, and takes them back
crop_files       the crops of a channel that are live under names, and those that no run needs
publishing       copies these crops to their public names
published_index  which crop each public name shows
"""
