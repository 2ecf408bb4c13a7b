"""Record which committed runs are live in each channel, version by version.

channel  the versions of a channel, and what is live in it
moves    creates the next version, by a promotion or a rollback
live     the standing of every run: live, candidate, trial or withdrawn
"""
