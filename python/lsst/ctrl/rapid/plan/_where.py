"""Whether a butler expression can be brought into the form in which it is evaluated, before that is tried."""

from __future__ import annotations

__all__ = ("check_where",)

from lsst.daf.butler.queries.expressions.parser import Node, parse_expression
from lsst.daf.butler.queries.expressions.parser.exprTree import BinaryOp, Parens, UnaryOp

from ..model import InputError

_MOST_CLAUSES = 1000
_DEEPEST = 150


def check_where(where: str, source: str) -> None:
    """Refuse an expression that would take for ever.

    Upstream brings each expression into a conjunction of disjunctions, which for an OR of ANDs grows without
    end, and follows it down by recursion.

    Parameters
    ----------
    where
        The expression.
    source
        Where it was read, for the message.

    Raises
    ------
    InputError
        If it is too large; one that is not valid is left to whoever evaluates it.
    """
    try:
        tree = parse_expression(where)
    except Exception:  # noqa: BLE001 -- of the many ways in which it may be wrong, the next to read it tells
        return
    if tree is None:
        return
    if _clauses(tree, 0, negated=False) > _MOST_CLAUSES:
        raise InputError(
            f"{source}: the expression {where[:200]!r} cannot be evaluated: it has too many ORs of ANDs, or "
            "is nested too deeply."
        )


def _clauses(node: Node, depth: int, *, negated: bool) -> int:
    """Return how many clauses an expression becomes; more than the most if it is too deep to tell."""
    if depth > _DEEPEST:
        return _MOST_CLAUSES + 1
    match node:
        case Parens():
            return _clauses(node.expr, depth + 1, negated=negated)
        case UnaryOp():
            return _clauses(node.operand, depth + 1, negated=negated != (node.op == "NOT"))
        case BinaryOp():
            left = _clauses(node.lhs, depth + 1, negated=negated)
            right = _clauses(node.rhs, depth + 1, negated=negated)
            if node.op not in {"AND", "OR"}:
                return max(left, right)
            # Else large numbers are multiplied again and again.
            joined = left * right if (node.op == "OR") != negated else left + right
            return min(joined, _MOST_CLAUSES + 1)
        case _:
            return 1
