"""Shards: parts of one campaign that run where they like, and the campaign that they add up to.

Each shard explores each N-th chunk and leaves ``shard.json``: what every chunk of it came to. Merged, they say exactly
what one machine would have said: all chunks before the first violation, and that violation.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from infra.files import write_atomically
from scenarios.errors import RequestError
from scenarios.exploration.bounded import schedule_as_json, schedule_of_json
from scenarios.exploration.campaign import Campaign, Explored, Found, Shard, Tally
from scenarios.exploration.state_coverage import Coverage, Growth
from scenarios.exploration.targets import Target
from scenarios.verdict import Outcome

SHARD = "shard.json"
FORMAT = "queue-fundamentals shard"
#: The version of the file's form.
FORM = 2


def write_shard(directory: Path, explored: Explored) -> None:
    """Write what a shard came to."""
    campaign = explored.campaign
    document = {
        "format": FORMAT,
        "form": FORM,
        "target": campaign.target.as_json(),
        "histories": campaign.histories,
        "seed": campaign.seed,
        "bounded": campaign.bounded,
        "shard": asdict(campaign.shard),
        "seconds": round(explored.seconds, 3),
        "lost": list(explored.lost),
        "chunks": [[first, end, _as_json(tally)] for first, end, tally in explored.chunks],
    }
    write_atomically(directory / SHARD, json.dumps(document).encode() + b"\n", durable=False)


def merge(runs: Sequence[Path]) -> Explored:
    """Return the campaign that shards add up to.

    Args:
        runs: the directories of all of them.

    Raises:
        RequestError: a file is no shard's, two are of different campaigns, or a part of the campaign is missing.
    """
    if not runs:
        raise RequestError("What to merge? Name the directories of all shards of a campaign.")
    parts = [_read(run / SHARD if run.is_dir() else run) for run in runs]
    campaign = parts[0].campaign
    for run, part in zip(runs, parts, strict=True):
        if replace(part.campaign, shard=campaign.shard) != campaign or part.campaign.shard.of != campaign.shard.of:
            raise RequestError(f"The shard {run} is of another campaign than {runs[0]}.")
    missing = set(range(1, campaign.shard.of + 1)) - {part.campaign.shard.number for part in parts}
    if missing:
        named = ", ".join(f"{number}/{campaign.shard.of}" for number in sorted(missing))
        raise RequestError(f"The campaign lacks its shard {named}; name the directories of all {campaign.shard.of}.")
    total, growth = Tally(), Growth()
    due = 0
    lost = tuple(text for part in parts for text in part.lost)
    for first, end, tally in sorted((chunk for part in parts for chunk in part.chunks), key=lambda chunk: chunk[0]):
        if first > due and not lost:
            raise RequestError(f"The histories {due + 1} to {first} are in no shard; one of them ended early.")
        if first < due:
            continue  # the same shard, named twice
        total.add(tally)
        growth.note(total.histories, total.coverage.count)
        due = end
        if total.found is not None:
            break
    if total.found is None and due < campaign.histories and not lost:
        raise RequestError(f"The histories {due + 1} to {campaign.histories} are in no shard; one of them ended early.")
    seconds = max(part.seconds for part in parts)
    return Explored(replace(campaign, shard=Shard()), total, seconds, lost=lost, growth=growth)


def _read(path: Path) -> Explored:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise RequestError(f"The file {path} is not there, or is no JSON; a shard leaves it where it ran.") from None
    if not isinstance(content, dict) or (content.get("format"), content.get("form")) != (FORMAT, FORM):
        raise RequestError(f"The file {path} holds no shard of this version.")
    try:
        campaign = Campaign(
            Target.of_json(content["target"]),
            content["histories"],
            content["seed"],
            bounded=content["bounded"],
            shard=Shard(**content["shard"]),
        )
        chunks = tuple((first, end, _tally(tally)) for first, end, tally in content["chunks"])
        return Explored(campaign, Tally(), content["seconds"], chunks, tuple(content["lost"]))
    except (KeyError, TypeError, ValueError):
        raise RequestError(f"The file {path} lacks a part of what a shard leaves; explore that shard again.") from None


def _as_json(tally: Tally) -> dict[str, Any]:
    found = tally.found
    return {
        **{name: dict(getattr(tally, name)) for name in _COUNTERS},
        "histories": tally.histories,
        "bounded": tally.bounded,
        "bounded_in_vain": tally.bounded_in_vain,
        "unsteady": tally.unsteady,
        "inconclusive": tally.inconclusive,
        "states": base64.b64encode(tally.coverage.packed()).decode(),
        "found": None
        if found is None
        else {
            "index": found.index,
            "seed": found.seed,
            "invariants": sorted(found.invariants),
            "schedule": None if found.schedule is None else schedule_as_json(found.schedule),
        },
    }


_COUNTERS = ("outcomes", "faults", "histories_with", "witnesses")


def _tally(content: dict[str, Any]) -> Tally:
    found = content["found"]
    counters = {name: Counter(content[name]) for name in _COUNTERS}
    counters["outcomes"] = Counter({Outcome(name): count for name, count in content["outcomes"].items()})
    schedule = None if found is None or found["schedule"] is None else schedule_of_json(found["schedule"])
    tally = Tally(
        histories=content["histories"],
        unsteady=content["unsteady"],
        bounded=content["bounded"],
        bounded_in_vain=content["bounded_in_vain"],
        inconclusive=content["inconclusive"],
        coverage=Coverage.unpack(base64.b64decode(content["states"])),
        found=None if found is None else Found(found["index"], found["seed"], frozenset(found["invariants"]), schedule),
    )
    for name, counter in counters.items():
        setattr(tally, name, counter)
    return tally
