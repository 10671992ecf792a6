"""What no claim can prevent, an API's idempotency key does: a consumer that wakes after its lease does no harm."""


def recognised_late(history):
    """Return the calls of consumers that had lost their claim to a newer one, and that the API knew all the same."""
    found = []
    for call in history.calls("CallApi"):
        key = call.arguments["key"]
        granted = [claim for claim in history.claims_of[key] if claim.answer == "Claimed"]
        before = [claim for claim in granted if claim.call.ended <= call.started]
        mine = [claim.fencing_token for claim in before if claim.process == call.process]
        newest = max(claim.fencing_token for claim in before)
        if (call.result or {}).get("recognised") and mine[-1] < newest:
            found.append(call)
    return found


def test_a_consumer_that_stood_still_beyond_its_lease_calls_and_pays_nothing(simulated):
    late = 0
    for seed in range(460, 710):  # it happens to one in two hundred
        simulation = simulated("idempotency-key", seed, with_faults=True)
        assert set(simulation.history.executions.values()) <= {1}, (seed, simulation.counterexample())
        late += len(recognised_late(simulation.history))
    assert late
