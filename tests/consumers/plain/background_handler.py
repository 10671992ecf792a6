"""Lambda handlers that work in a thread: Python's standard library alone.

joins   waits for its thread, and answers what has become of each message
leaves  answers before its thread has caused the side effect: Lambda freezes it, or ends it with its environment
"""

import threading
import time

import handler

#: Seconds in which ``leaves`` answers: time enough for what the invocation before has left to its thread.
ANSWERS = 0.3

invocations = 0


def joins(event, context):
    answers = []
    work = threading.Thread(target=lambda: answers.append(handler.careful(event, context)))
    work.start()
    work.join()
    return answers[0]


def leaves(event, context):
    global invocations  # noqa: PLW0603 - an environment's memory
    invocations += 1
    threading.Thread(target=pay_later, args=(event, context, invocations)).start()
    time.sleep(ANSWERS)
    return {"batchItemFailures": []}


def pay_later(event, context, begun_in):
    # Busy with something else until the environment is frozen, and thawed by the next invocation.
    while invocations == begun_in:
        time.sleep(0.01)
    handler.careful(event, context)
