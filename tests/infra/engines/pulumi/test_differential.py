"""The real engine is the judge of the embedded one: both deploy the same random changes, and must agree."""

from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.infra.engines.pulumi.labs import comparable, steps
from tests.infra.engines.pulumi.topology import BucketEntry, LambdaEntry, QueueEntry, TableEntry, program_of

PARTS = 2
SEQUENCES = 16
"""In each part; the parts run side by side."""
MAX_ENTRIES = 3

indexes = st.integers(0, MAX_ENTRIES - 1)
queues = st.builds(
    QueueEntry,
    name=st.just(""),
    fifo=st.booleans(),
    visibility_timeout=st.integers(0, 43_200),
    max_receive_count=st.integers(1, 1_000),
)
tables = st.builds(TableEntry, name=st.just(""), hash_key=st.sampled_from(("id", "key")))


buckets = st.builds(BucketEntry, name=st.just(""), force_destroy=st.booleans())
consumers = st.builds(
    LambdaEntry,
    name=st.just(""),
    answer=st.sampled_from("ab"),
    batch_size=st.integers(1, 10),
    maximum_concurrency=st.none() | st.integers(2, 1_000),
    pattern=st.none() | st.sampled_from("xy"),
)
entries = st.one_of(queues, tables, buckets, consumers)


class BothEngines(RuleBasedStateMachine):
    """Changes of a topology; each deployment is made by both engines and compared in every respect."""

    embedded = None
    real = None
    numbers = count()
    done: Counter

    def __init__(self):
        super().__init__()
        self.stack = f"{type(self).__name__.lower()}-{next(self.numbers)}"
        self.names = count()
        self.entries = []
        self.dirty = True
        self.done["sequences"] += 1

    @initialize(first=entries)
    def begin(self, first):
        self.add(first)
        self._up()

    @rule(entry=entries)
    def add(self, entry):
        if len(self.entries) < MAX_ENTRIES:
            self._change("add", [*self.entries, replace(entry, name=f"e{next(self.names)}")])

    @precondition(lambda self: self.entries)
    @rule(index=indexes)
    def remove(self, index):
        entry = self._at(index)
        self._change("remove", [other for other in self.entries if other is not entry])

    @precondition(lambda self: self.entries)
    @rule(index=indexes)
    def rename(self, index):
        self._replace_entry("rename", self._at(index), name=f"e{next(self.names)}")

    @precondition(lambda self: self.entries)
    @rule(index=indexes, seconds=st.integers(0, 43_200), receives=st.integers(1, 1_000), tag=st.sampled_from("abc"))
    def change_in_place(self, index, seconds, receives, tag):
        entry = self._at(index)
        if isinstance(entry, QueueEntry):
            changes = {"visibility_timeout": seconds, "max_receive_count": receives, "tag": tag}
        elif isinstance(entry, LambdaEntry):
            changes = {"batch_size": receives % 10 + 1, "timeout": seconds % 30 + 1, "answer": tag, "tag": tag}
        else:
            changes = {"tag": tag}
        self._replace_entry("change in place", entry, **changes)

    @precondition(lambda self: self.entries)
    @rule(index=indexes)
    def change_what_replaces(self, index):
        entry = self._at(index)
        if isinstance(entry, QueueEntry):
            self._replace_entry("replace", entry, fifo=not entry.fifo)
        elif isinstance(entry, LambdaEntry):
            self._replace_entry("change in place", entry, pattern="x" if entry.pattern is None else None)
        elif isinstance(entry, BucketEntry):
            # Nothing but its name replaces a bucket; what only the provider knows changes in place.
            self._replace_entry("change in place", entry, force_destroy=not entry.force_destroy)
        else:
            self._replace_entry("replace", entry, hash_key="key" if entry.hash_key == "id" else "id")

    @precondition(lambda self: self.dirty)
    @rule()
    def deploy(self):
        planned, real_planned = self._both("preview")
        assert steps(planned) == steps(real_planned)
        assert steps(self._up()) == steps(planned)

    @precondition(lambda self: not self.dirty and self.entries)
    @rule(index=st.integers(0, 5))
    def delete_behind_its_back_and_refresh(self, index):
        for lab in (self.embedded, self.real):
            _delete_one(lab.endpoint, f"{self.stack}-", index)
        plan, real_plan = self._both("refresh")
        assert any(step.operation.value == "delete" for step in plan.steps)
        assert steps(plan) == steps(real_plan)
        self.done["delete behind its back"] += 1
        self.dirty = True
        self._compare_what_there_is()

    def teardown(self):
        if self.dirty and self.entries:
            self._up()
        plan, real_plan = self._both("destroy")
        assert steps(plan) == steps(real_plan)
        assert self.embedded.endpoint.contents(f"{self.stack}-") == {}
        assert self.real.endpoint.contents(f"{self.stack}-") == {}

    def _up(self):
        plan, real_plan = self._both("up")
        assert steps(plan) == steps(real_plan)
        assert comparable(plan.outputs) == comparable(real_plan.outputs)
        self.dirty = False
        self._compare_what_there_is()
        return plan

    def _change(self, what, entries):
        self.entries = entries
        self.dirty = True
        self.done[what] += 1

    def _replace_entry(self, what, entry, **changes):
        self._change(what, [replace(other, **changes) if other is entry else other for other in self.entries])

    def _at(self, index):
        return self.entries[index % len(self.entries)]

    def _both(self, operation):
        self.done[operation] += 1
        program = program_of(self.entries)
        return [getattr(lab.engine(self.stack, program), operation)() for lab in (self.embedded, self.real)]

    def _compare_what_there_is(self):
        prefix = f"{self.stack}-"
        assert self.embedded.endpoint.contents(prefix) == self.real.endpoint.contents(prefix)
        assert self.embedded.resources(self.stack) == self.real.resources(self.stack)


def _delete_one(endpoint, prefix, index):
    """Delete the same queue, table or bucket at either endpoint: their names differ in the random end alone."""
    found = sorted([*endpoint.queues(prefix), *endpoint.tables(prefix), *endpoint.buckets(prefix)], key=comparable)
    victim = found[index % len(found)]
    if victim.startswith("http"):
        endpoint.sqs.delete_queue(QueueUrl=victim)
    elif victim in endpoint.tables(prefix):
        endpoint.dynamodb.delete_table(TableName=victim)
    else:
        endpoint.s3.delete_bucket(Bucket=victim)


@pytest.mark.pulumi_cli
@pytest.mark.processes
@pytest.mark.parametrize("part", range(PARTS))
def test_both_engines_agree_on_plans_outputs_state_and_what_exists(embedded, real, part, record_property):
    done = Counter()
    machine = type(f"Part{part}", (BothEngines,), {"embedded": embedded, "real": real, "done": done})
    run_state_machine_as_test(
        machine,
        settings=settings(
            settings.get_profile("ci"),
            max_examples=SEQUENCES,
            stateful_step_count=6,
            # Each deployment takes a second of the real engine: what fails is printed as it is, not shrunk for minutes.
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    record_property("done", dict(done))
    assert done["sequences"] >= SEQUENCES
    # Every kind of change was made.
    for kind in ("add", "remove", "rename", "change in place", "replace", "delete behind its back"):
        assert done[kind], f"no sequence had a step of the kind {kind}"
