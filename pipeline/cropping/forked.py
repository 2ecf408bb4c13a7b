"""Let networks run in forked children of a process that has run some.

torch spreads work over a pool of threads. A fork copies the pool's state but not its threads, so in
the child the first large tensor waits for them without end. With one thread torch uses no pool.
"""

import os

_users: set[int] = set()  # processes that have run networks; a forked child inherits its parent's


def use_one_thread_if_forked() -> None:
    """Limit torch to one thread in a process forked from one that called this earlier.

    A process is limited at its first call, so that its program may choose another number later.
    """
    process = os.getpid()
    if process not in _users:
        if _users:
            import torch

            torch.set_num_threads(1)
        _users.add(process)
