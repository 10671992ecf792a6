from scenarios.simulation.scheduler import Scheduler, Sleeper


def test_strands_wake_in_the_order_of_time_and_then_of_asking():
    scheduler, seen = Scheduler(), []

    def strand(name, *waits):
        for wait in waits:
            seen.append((scheduler.now, name))
            yield scheduler.now + wait
        seen.append((scheduler.now, name))

    scheduler.start(strand("a", 2.0), at=1.0)
    scheduler.start(strand("b", 1.0, 1.0), at=1.0)
    assert not scheduler.run_until(lambda: False, deadline=10.0)
    assert seen == [(1.0, "a"), (1.0, "b"), (2.0, "b"), (3.0, "a"), (3.0, "b")]
    assert scheduler.now == 10.0


def test_time_stops_where_the_condition_holds():
    scheduler = Scheduler()

    def ticking():
        while True:
            yield scheduler.now + 1.0

    scheduler.start(ticking(), at=0.0)
    assert scheduler.run_until(lambda: scheduler.now >= 3.0, deadline=10.0)
    assert scheduler.now == 3.0


def test_only_the_last_wake_up_of_a_strand_counts():
    scheduler, seen = Scheduler(), []

    def strand():
        seen.append(scheduler.now)
        yield None

    sleeper = scheduler.start(strand(), at=5.0)
    scheduler.wake(sleeper, 1.0)
    scheduler.run_until(lambda: False, deadline=10.0)
    assert seen == [1.0]


def test_a_silenced_strand_never_goes_on():
    scheduler, seen = Scheduler(), []

    def strand():
        seen.append(scheduler.now)
        yield None

    scheduler.silence(scheduler.start(strand(), at=1.0))
    scheduler.run_until(lambda: False, deadline=10.0)
    assert seen == []


def test_what_belongs_to_a_paused_process_wakes_after_the_pause():
    class Process:
        paused_until = 4.0

    scheduler, seen = Scheduler(), []

    def strand():
        seen.append(scheduler.now)
        yield None

    sleeper = Sleeper(Process())
    sleeper.strand = strand()
    scheduler.wake(sleeper, 1.0)
    scheduler.run_until(lambda: False, deadline=10.0)
    assert seen == [4.0]
