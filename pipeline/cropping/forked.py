"""Let networks run in forked children of a process that has run some.

torch spreads work over a pool of threads. A fork copies the pool's state but not its threads, so in
the child the first large tensor waits for them without end. With one thread torch uses no pool.
"""

import os
from functools import cache, partial


@cache  # a handler cannot be removed, and one is enough; children inherit it
def use_one_thread_in_forks() -> None:
    """Limit torch to one thread in children forked from now on; they may choose another number."""
    import torch

    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))
