"""Whether two answers are the same. A speed with a wrong answer is not shown."""

from __future__ import annotations

import math

#: Sums are added up in different orders, and VictoriaMetrics keeps numbers as decimals.
RELATIVE = 1e-6
ABSOLUTE = 1e-9


def kept(rows: list, compare: tuple | None) -> list:
    return [tuple(row[at] for at in compare) for row in rows] if compare else [tuple(row) for row in rows]


def order(row: tuple) -> tuple:
    """By texts and times, then by rounded numbers, so that what differs in the last digit does not change places."""
    fixed = tuple(cell for cell in row if isinstance(cell, (str, int)) and not isinstance(cell, bool))
    loose = tuple(float(f"{cell:.5g}") for cell in row if isinstance(cell, float))
    return tuple(str(cell) for cell in fixed), loose


def same_cell(a, b) -> bool:
    if isinstance(a, (str, int)) or isinstance(b, (str, int)) or a is None or b is None:
        return a == b  # Whole numbers are times here.
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def difference(mine: list, right: list, compare: tuple | None = None) -> str | None:
    """What tells two answers apart, in words; `None`: nothing does."""
    mine, right = (sorted(map(whole, kept(rows, compare)), key=order) for rows in (mine, right))
    if len(mine) != len(right):
        return f"{len(mine)} rows instead of {len(right)}"
    for a, b in zip(mine, right):
        if len(a) != len(b):
            return f"{len(a)} columns instead of {len(b)}"
        if not all(same_cell(x, y) for x, y in zip(a, b)):
            return f"{a} instead of {b}"
    return None


def whole(row: tuple) -> tuple:
    """Counts come as whole or floating numbers, by system; times are large and stay whole."""
    return tuple(float(cell) if isinstance(cell, (int, bool)) and abs(cell) < 1e11 else cell for cell in row)


def agreed(by_system: dict[str, list], compare: tuple | None = None) -> list | None:
    """The answer that most systems give; `None` when no two agree and there are more than one."""
    if len(by_system) == 1:
        return None
    best, votes = None, 1
    for rows in by_system.values():
        count = sum(difference(other, rows, compare) is None for other in by_system.values())
        if count > votes:
            best, votes = rows, count
    return best
