"""How the work of a function grows with the size of what it is given: by CPU time, which no other process uses up."""

import time

#: Eight times the size may cost 24 times the work; the square would be 64 times.
MOST = 24.0
#: What is over in so many seconds of CPU is no trouble, whatever its growth.
AT_ONCE = 0.025
#: A ratio that is too high is measured again: caches that others have emptied cost CPU time, too.
ROUNDS = 3


def cpu_seconds(work):
    """Return the seconds of CPU that a call takes, in all threads of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def grows_too_fast(few, many):
    """Tell whether eight times the work takes disproportionately more CPU time; each is the best of some calls.

    Args:
        few: does the small work.
        many: does eight times as much.
    """
    for _ in range(ROUNDS):
        large = min(cpu_seconds(many) for _ in range(3))
        if large < AT_ONCE:
            return False
        small = min(cpu_seconds(few) for _ in range(3))
        if large / small <= MOST:
            return False
    return True
