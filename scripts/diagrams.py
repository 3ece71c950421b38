"""Writes docs/diagrams/, the lifecycles, out of the code's own tables: `python -m scripts.diagrams`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matching_server.domain.lifecycle import TRANSITIONS, Action
from matching_server.domain.model import JobStatus, MatchStatus
from matching_server.domain.provisioning import JOB_STEPS

DIRECTORY = Path(__file__).parents[1] / "docs" / "diagrams"
START = "start"
LINE = 15
"""Pixels from one line of a text to the next."""

WORDS: Mapping[Action, str] = {
    Action.CREATE_MATCHED: "an advisor is free",
    Action.CREATE_PENDING: "nobody is free",
    Action.ADVISOR_FOUND: "an advisor becomes free",
    Action.CLIENT_APPROVE: "the client approves",
    Action.ADVISOR_ACCEPT: "the advisor accepts",
    Action.CLIENT_DECLINE: "the client declines",
    Action.ADVISOR_DECLINE: "the advisor declines",
    Action.EXPIRE: "its time runs out, an admin replaces it or releases the advisor, "
    "or its advisor or project is gone",
    Action.ROLL_BACK: "the workspace cannot be made",
    Action.EMERGENCY_FINALIZE: "an admin assigns in an emergency",
    Action.RETRY_PROVISIONING: "an admin has the workspace tried again",
    Action.RELEASE: "an admin releases the advisor",
}
"""What the pages call what the code calls actions."""


@dataclass(frozen=True)
class Box:
    """Where a status stands: its middle, and how it is coloured."""

    x: int
    y: int
    kind: str = "open"


@dataclass(frozen=True)
class Frame:
    """Statuses that a step treats alike: left, top, right, bottom."""

    members: frozenset[str]
    bounds: tuple[int, int, int, int]
    title: str


@dataclass(frozen=True)
class Route:
    """How the arrow from one place to another goes, and where its words stand."""

    points: Sequence[tuple[int, int]]
    label: tuple[int, int]
    anchor: str = "start"
    width: int = 40
    """Characters of a line of the words."""


@dataclass(frozen=True)
class Layout:
    """What the tables do not say: where everything is."""

    title: str
    size: tuple[int, int]
    start: tuple[int, int]
    boxes: Mapping[str, Box]
    frames: Mapping[str, Frame]
    routes: Mapping[tuple[str, str], Route]


Step = tuple[str, str, str]
"""From, to, and why."""

_S, _J = MatchStatus, JobStatus
_OFFERED = frozenset[str]({_S.MATCHED, _S.CLIENT_APPROVED, _S.ADVISOR_ACCEPTED})

MATCH = Layout(
    title="The life of a match",
    size=(820, 505),
    start=(390, 24),
    boxes={
        _S.PENDING: Box(95, 112),
        _S.MATCHED: Box(390, 112),
        _S.CLIENT_APPROVED: Box(250, 212),
        _S.ADVISOR_ACCEPTED: Box(545, 212),
        _S.FINALIZED: Box(390, 345, "good"),
        _S.CLIENT_DECLINED: Box(85, 475, "closed"),
        _S.ADVISOR_DECLINED: Box(250, 475, "closed"),
        _S.EXPIRED: Box(645, 475, "closed"),
    },
    frames={
        "open": Frame(_OFFERED | {_S.PENDING}, (20, 56, 665, 278), "open"),
        "offered": Frame(_OFFERED, (162, 74, 642, 262), "offered to an advisor"),
    },
    routes={
        (START, _S.MATCHED): Route([(390, 30), (390, 94)], (398, 48)),
        (START, _S.PENDING): Route([(384, 24), (95, 24), (95, 94)], (240, 18), "middle"),
        (_S.PENDING, _S.MATCHED): Route([(137, 112), (346, 112)], (262, 105), "middle"),
        (_S.MATCHED, _S.CLIENT_APPROVED): Route(
            [(370, 130), (370, 162), (250, 162), (250, 194)], (364, 156), "end"
        ),
        (_S.MATCHED, _S.ADVISOR_ACCEPTED): Route(
            [(410, 130), (410, 162), (545, 162), (545, 194)], (416, 156)
        ),
        (_S.MATCHED, _S.FINALIZED): Route([(390, 130), (390, 327)], (396, 190), "start", 10),
        (_S.CLIENT_APPROVED, _S.FINALIZED): Route(
            [(250, 230), (250, 304), (365, 304), (365, 327)], (257, 298)
        ),
        (_S.ADVISOR_ACCEPTED, _S.FINALIZED): Route(
            [(545, 230), (545, 304), (415, 304), (415, 327)], (538, 298), "end"
        ),
        (_S.FINALIZED, "offered"): Route([(436, 345), (600, 345), (600, 262)], (444, 361), "start", 15),
        ("offered", _S.FINALIZED): Route([(222, 262), (222, 345), (344, 345)], (228, 361), "start", 22),
        ("open", _S.CLIENT_DECLINED): Route([(50, 278), (50, 457)], (57, 440)),
        ("offered", _S.ADVISOR_DECLINED): Route([(205, 262), (205, 457)], (212, 440)),
        ("open", _S.EXPIRED): Route([(645, 278), (645, 457)], (653, 320), "start", 24),
        (_S.FINALIZED, _S.EXPIRED): Route([(410, 363), (410, 475), (604, 475)], (417, 440)),
    },
)

JOB = Layout(
    title="The steps of a provisioning job",
    size=(800, 365),
    start=(110, 24),
    boxes={
        _J.PENDING: Box(110, 112),
        _J.PROCESSING: Box(400, 112),
        _J.COMPLETED: Box(680, 112, "good"),
        _J.ROLLBACK_NEEDED: Box(680, 222),
        _J.FAILED: Box(400, 335, "closed"),
    },
    frames={},
    routes={
        (START, _J.PENDING): Route([(110, 30), (110, 94)], (118, 64)),
        (_J.PENDING, _J.PROCESSING): Route([(152, 104), (348, 104)], (250, 97), "middle"),
        (_J.PROCESSING, _J.PENDING): Route([(348, 122), (152, 122)], (250, 141), "middle", 30),
        (_J.PROCESSING, _J.COMPLETED): Route([(452, 112), (632, 112)], (542, 105), "middle"),
        (_J.PROCESSING, _J.ROLLBACK_NEEDED): Route(
            [(430, 130), (430, 222), (610, 222)], (438, 199), "start", 22
        ),
        (_J.PROCESSING, _J.FAILED): Route([(390, 130), (390, 317)], (383, 245), "end", 22),
        (_J.ROLLBACK_NEEDED, _J.FAILED): Route([(680, 240), (680, 335), (437, 335)], (560, 328), "middle"),
        (_J.PENDING, _J.FAILED): Route([(110, 130), (110, 335), (363, 335)], (240, 328), "middle"),
    },
)

STYLE = """\
  .paper { fill: #ffffff; }
  text { font: 13px sans-serif; fill: #37474f; }
  .status { font: 600 13px sans-serif; text-anchor: middle; fill: #1a237e; }
  .box { stroke-width: 1.5; }
  .open { fill: #e8eaf6; stroke: #3f51b5; }
  .good { fill: #e0f2f1; stroke: #00796b; }
  .closed { fill: #eceff1; stroke: #78909c; }
  .frame { fill: none; stroke: #9fa8da; stroke-dasharray: 5 4; }
  .title { font-style: italic; fill: #5c6bc0; }
  .arrow { fill: none; stroke: #546e7a; stroke-width: 1.5; marker-end: url(#head); }
  .label { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; }
"""


def pages() -> dict[str, str]:
    """The drawings by the names of their files."""
    match_steps = [(t.source or START, t.target, WORDS[t.action]) for t in TRANSITIONS]
    job_steps = [(step.source or START, step.target, step.why) for step in JOB_STEPS]
    return {"match.svg": drawing(MATCH, match_steps), "job.svg": drawing(JOB, job_steps)}


def drawing(layout: Layout, steps: Sequence[Step]) -> str:
    """The steps as the layout places them. ValueError where it has a place for other statuses or other steps."""
    arrows = together(steps, layout.frames)
    named = {name for source, target, _ in steps for name in (source, target)} - {START}
    if named != set(layout.boxes) or set(arrows) != set(layout.routes):
        raise ValueError(f"{layout.title}: {named ^ set(layout.boxes)}, {set(arrows) ^ set(layout.routes)}")
    width, height = layout.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
        f"<title>{escape(layout.title)}</title>",
        f"<desc>{escape('; '.join(f'{source} to {target}: {why}' for source, target, why in steps))}</desc>",
        f"<style>\n{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="#546e7a"/></marker></defs>',
        f'<rect class="paper" width="{width}" height="{height}" rx="6"/>',
        *(framed(frame) for frame in layout.frames.values()),
        *(arrow(layout.routes[ends]) for ends in arrows),
        *(line for ends, why in arrows.items() for line in label(layout.routes[ends], why)),
        f'<circle cx="{layout.start[0]}" cy="{layout.start[1]}" r="6" fill="#546e7a"/>',
        *(status(name, box) for name, box in layout.boxes.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def together(steps: Iterable[Step], frames: Mapping[str, Frame]) -> dict[tuple[str, str], list[str]]:
    """The arrows and their words: steps that all statuses of a frame share are one, from or to the frame."""
    left = list(dict.fromkeys(steps))
    arrows: dict[tuple[str, str], list[str]] = {}
    # The largest frame first: what all of its members share is not drawn for a smaller one.
    for name, frame in sorted(frames.items(), key=lambda item: -len(item[1].members)):
        for source, target, why in list(left):
            outward = {(member, target, why) for member in frame.members}
            inward = {(source, member, why) for member in frame.members}
            for ends, shared in (((name, target), outward), ((source, name), inward)):
                if shared <= set(left):
                    arrows.setdefault(ends, []).append(why)
                    left = [step for step in left if step not in shared]
    for source, target, why in left:
        arrows.setdefault((source, target), []).append(why)
    return arrows


def framed(frame: Frame) -> str:
    """A frame with its title in the lower right corner."""
    left, top, right, bottom = frame.bounds
    size = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
    title = (
        f'<text class="title" x="{right - 8}" y="{top + 15}" text-anchor="end">{escape(frame.title)}</text>'
    )
    return f'<rect class="frame" {size} rx="8"/>\n{title}'


def arrow(route: Route) -> str:
    """An arrow."""
    return f'<path class="arrow" d="M{" L".join(f"{x} {y}" for x, y in route.points)}"/>'


def label(route: Route, why: Iterable[str]) -> Iterator[str]:
    """The words of an arrow, line by line."""
    x, y = route.label
    for number, line in enumerate(part for words in why for part in textwrap.wrap(words, route.width)):
        place = f'x="{x}" y="{y + LINE * number}" text-anchor="{route.anchor}"'
        yield f'<text class="label" {place}>{escape(line)}</text>'


def status(name: str, box: Box) -> str:
    """A status."""
    width = 8 * len(name) + 26
    size = f'x="{box.x - width // 2}" y="{box.y - 18}" width="{width}" height="36"'
    text = f'<text class="status" x="{box.x}" y="{box.y + 4}">{escape(name)}</text>'
    return f'<rect class="box {box.kind}" {size} rx="8"/>\n{text}'


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name, content in pages().items():
        (DIRECTORY / name).write_text(content)
