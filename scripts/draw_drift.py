"""Draw the picture of `docs/drift.md`: how evidence grows.

    .venv/bin/python scripts/draw_drift.py

One series that hits 55% of the time, one forecast a day, and the same series
falling to 45% at the end of the second year. The same seed gives the same
picture.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from drift_simulations import (
    DRIFTED,
    HEALTHY,
    MARGIN,
    SESSIONS_PER_YEAR,
    WINDOW,
    threshold,
)

from python_ml.monitoring.evidence import evidence_path, hits_bets

PICTURE = Path(__file__).parents[1] / "docs" / "drift.svg"

FloatArray = npt.NDArray[np.float64]

SEED = 109
N_SESSIONS = 4 * SESSIONS_PER_YEAR
FALLS_AT = 2 * SESSIONS_PER_YEAR
WIDTH, HEIGHT = 760, 470
LEFT, RIGHT = 74, 20
UPPER = (36, 190)
LOWER = (250, 430)
HEALTHY_COLOUR, DRIFT_COLOUR, LINE_COLOUR = "#3b6ea5", "#c0392b", "#555"
LABEL = (
    "Accuracy of the last 60 forecasts dips by chance again and again; "
    "evidence stays low until something is wrong."
)
# Powers of ten that the axis of evidence shows.
SMALLEST, LARGEST = -1, 6


def simulate() -> tuple[FloatArray, FloatArray]:
    """Hits of a healthy series, and of one that falls; with the same luck."""
    luck = np.random.default_rng(SEED).random(N_SESSIONS)
    healthy = (luck < HEALTHY).astype(np.float64)
    falling = healthy.copy()
    falling[FALLS_AT:] = luck[FALLS_AT:] < DRIFTED
    return healthy, falling


def rolling_accuracy(hits: FloatArray) -> FloatArray:
    """Share of hits of the last 60, from the 60th on."""
    sums = np.concatenate([[0.0], np.cumsum(hits)])
    shares: FloatArray = (sums[WINDOW:] - sums[:-WINDOW]) / WINDOW
    return shares


def evidence_of(hits: FloatArray) -> FloatArray:
    """Evidence of the test of hits after each session."""
    evidence: FloatArray = evidence_path(hits_bets(hits, HEALTHY)).mean(axis=1)
    return evidence


def x_of(session: float) -> float:
    """Place of a session."""
    return LEFT + (WIDTH - LEFT - RIGHT) * session / N_SESSIONS


def y_of(
    value: float, panel: tuple[int, int], low: float, high: float
) -> float:
    """Place of a value in a panel."""
    share = (min(max(value, low), high) - low) / (high - low)
    return panel[1] - share * (panel[1] - panel[0])


def line(points: list[tuple[float, float]], colour: str) -> str:
    """A line through points."""
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{text}" fill="none" stroke="{colour}" '
        'stroke-width="1.4"/>'
    )


def rule(y: float, label: str, colour: str = "#bbb") -> str:
    """A horizontal line across a panel, named at the left."""
    return (
        f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" '
        f'stroke="{colour}" stroke-dasharray="4 3"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def words(x: float, y: float, text: str, colour: str = LINE_COLOUR) -> str:
    """Text that begins at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{text}</text>'


def draw() -> str:
    """The picture."""
    healthy, falling = simulate()
    alarm = threshold(SESSIONS_PER_YEAR)
    parts = [
        words(LEFT, 20, "Accuracy of the last 60 forecasts"),
        words(LEFT, 234, "Evidence R of the same forecasts (log scale)"),
    ]
    for share in (0.4, HEALTHY, 0.7):
        parts.append(rule(y_of(share, UPPER, 0.25, 0.75), f"{share:.0%}"))
    for power in (0, 2, 5):
        place = y_of(power, LOWER, SMALLEST, LARGEST)
        parts.append(rule(place, f"{10**power:,}"))
    parts.append(
        rule(
            y_of(np.log10(alarm), LOWER, SMALLEST, LARGEST),
            f"A {alarm:,.0f}",
            DRIFT_COLOUR,
        )
    )
    falls = x_of(FALLS_AT)
    parts.append(
        f'<line x1="{falls:.1f}" y1="{UPPER[0]}" x2="{falls:.1f}" '
        f'y2="{LOWER[1]}" stroke="{LINE_COLOUR}"/>'
    )
    parts.append(words(falls + 6, UPPER[0] + 8, "one of them falls to 45%"))
    for hits, colour in ((falling, DRIFT_COLOUR), (healthy, HEALTHY_COLOUR)):
        accuracy = rolling_accuracy(hits)
        parts.append(
            line(
                [
                    (x_of(n + WINDOW), y_of(value, UPPER, 0.25, 0.75))
                    for n, value in enumerate(accuracy)
                    if n % 3 == 0
                ],
                colour,
            )
        )
        evidence = evidence_of(hits)
        parts.append(
            line(
                [
                    (
                        x_of(n + 1),
                        y_of(np.log10(value), LOWER, SMALLEST, LARGEST),
                    )
                    for n, value in enumerate(evidence)
                    if n % 3 == 0
                ],
                colour,
            )
        )
        # Rounded, so that 0.4 is not below 0.4.
        below = np.flatnonzero(np.round(accuracy - (HEALTHY - MARGIN), 9) < 0)
        for n in below:
            parts.append(
                f'<rect x="{x_of(n + WINDOW):.1f}" y="{UPPER[1] - 6}" '
                f'width="1" height="6" fill="{colour}"/>'
            )
        crossed = np.flatnonzero(evidence >= alarm)
        if len(crossed):
            x = x_of(crossed[0] + 1)
            y = y_of(np.log10(alarm), LOWER, SMALLEST, LARGEST)
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
            )
            waited = crossed[0] + 1 - FALLS_AT
            parts.append(
                words(x + 8, y + 18, f"alarm after {waited} sessions", colour)
            )
    for year in range(1, N_SESSIONS // SESSIONS_PER_YEAR + 1):
        parts.append(
            words(x_of((year - 0.6) * SESSIONS_PER_YEAR), 450, f"year {year}")
        )
    body = "\n".join(parts)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img" aria-label="{LABEL}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
        f"{body}\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(f"{PICTURE.name} is written.")
