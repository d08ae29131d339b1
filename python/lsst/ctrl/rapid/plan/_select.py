"""Which pipeline is for an exposure: butler expressions on its records, evaluated in memory."""

from __future__ import annotations

__all__ = ("Selector",)

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, override

from lsst.daf.butler import DimensionRecord, DimensionUniverse, InvalidQueryError
from lsst.daf.butler.queries import tree
from lsst.daf.butler.queries._expression_strings import convert_expression_string_to_predicate
from lsst.daf.butler.queries._identifiers import IdentifierContext
from lsst.daf.butler.queries.tree import ColumnSet
from lsst.daf.butler.queries.visitors import ColumnExpressionVisitor, PredicateVisitFlags, PredicateVisitor
from lsst.daf.butler.time_utils import TimeConverter

from ..model import InputError
from ._where import check_where


@functools.cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Return a ``GLOB`` pattern (``*``, ``?``, literal after a backslash) as a regular expression."""
    parts = [""]
    for sign in re.findall(r"\\[*?\[\]\\]|.", pattern, re.DOTALL):
        if sign == "*":
            parts.append("")
        else:
            parts[-1] += "." if sign == "?" else re.escape(sign[-1])
    if len(parts) == 1:
        return re.compile(parts[0], re.DOTALL)
    first, *middle, last = parts
    # Where a part is found first is as good as any later place, so none is gone back to: that has no end.
    return re.compile(f"{first}{''.join(f'(?>.*?{part})' for part in middle)}.*{last}", re.DOTALL)


_INVALID = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What upstream raises, beside its own errors, for expressions that make no sense."""

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "glob": lambda a, b: _glob(b).fullmatch(a) is not None,
    "overlaps": lambda a, b: a.overlaps(b),
}

_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


class Selector:
    """A butler expression that tells whether an exposure is selected.

    Parameters
    ----------
    where
        Expression on the dimensions of an exposure, like ``exposure.observation_type = 'science'``; an empty
        one selects everything.
    universe
        The repository's dimensions.
    source
        Where the expression was read, for messages.

    Raises
    ------
    InputError
        If the expression is not valid, or speaks of something that an exposure has not.
    """

    def __init__(self, where: str, universe: DimensionUniverse, source: str) -> None:
        self.where = where
        self._predicate: tree.Predicate | None = None
        if not where:
            return
        check_where(where, source)
        context = IdentifierContext(universe.conform(["exposure"]), frozenset())
        try:
            self._predicate = convert_expression_string_to_predicate(
                where, context=context, universe=universe
            )
        except AssertionError:  # upstream's, of what has a value but no truth, like '0'
            raise InputError(f"{source}: the expression {where!r} is not a condition.") from None
        except (*_INVALID, InvalidQueryError) as err:
            raise InputError(f"{source}: the expression {where!r} is not valid: {err}") from None
        columns = ColumnSet(universe.empty)
        self._predicate.gather_required_columns(columns)
        if foreign := set(columns.dimensions.names) - set(context.dimensions.names):
            raise InputError(
                f"{source}: the expression {where!r} selects exposures; it cannot speak of "
                f"{', '.join(sorted(foreign))}."
            )

    def __call__(self, records: Mapping[str, DimensionRecord]) -> bool:
        """Tell whether the exposure with these records, by element, is selected."""
        return self._predicate is None or self._predicate.visit(_Evaluator(records)) is True


class _Value(ColumnExpressionVisitor[Any]):
    """The value of a column for one exposure; `None` is unknown, as NULL in a database."""

    def __init__(self, records: Mapping[str, DimensionRecord]) -> None:
        self._records = records

    def _record(self, element: str) -> DimensionRecord:
        try:
            return self._records[element]
        except KeyError:
            raise InputError(f"An expression that selects exposures cannot speak of {element!r}.") from None

    def visit_literal(self, expression: tree.ColumnLiteral) -> Any:
        return expression.get_literal_value()

    def visit_dimension_key_reference(self, expression: tree.DimensionKeyReference) -> Any:
        return self._record(expression.dimension.name).dataId[expression.dimension.name]

    def visit_dimension_field_reference(self, expression: tree.DimensionFieldReference) -> Any:
        return getattr(self._record(expression.element.name), expression.field)

    def visit_dataset_field_reference(self, expression: tree.DatasetFieldReference) -> Any:
        raise InputError(f"An expression that selects exposures cannot speak of datasets: {expression}.")

    def visit_unary_expression(self, expression: tree.UnaryExpression) -> Any:
        value = expression.operand.visit(self)
        match expression.operator:
            case "-":
                return None if value is None else -value
            # A registry has numbers for bounds that are not there, and for those of no time span.
            case "begin_of":
                return TimeConverter().nsec_to_astropy(0 if value is None else value.nsec[0])
            case "end_of":
                return TimeConverter().nsec_to_astropy(0 if value is None else value.nsec[1])

    def visit_binary_expression(self, expression: tree.BinaryExpression) -> Any:
        a, b = expression.a.visit(self), expression.b.visit(self)
        if a is None or b is None:
            return None
        try:
            return _ARITHMETIC[expression.operator](a, b)
        except ArithmeticError:  # a division by zero, or a number beyond all
            return None

    @override
    def visit_reversed(self, expression: tree.Reversed) -> Any:
        raise InputError("An order has no meaning in an expression that selects exposures.")


class _Evaluator(PredicateVisitor[bool | None, bool | None, bool | None]):
    """The truth of a predicate for one exposure, with a database's three values."""

    def __init__(self, records: Mapping[str, DimensionRecord]) -> None:
        self._value = _Value(records)

    @override
    def visit_boolean_wrapper(self, value: tree.ColumnExpression, flags: PredicateVisitFlags) -> bool | None:
        found = value.visit(self._value)
        return None if found is None else bool(found)

    @override
    def visit_comparison(
        self,
        a: tree.ColumnExpression,
        operator: tree.ComparisonOperator,
        b: tree.ColumnExpression,
        flags: PredicateVisitFlags,
    ) -> bool | None:
        left, right = a.visit(self._value), b.visit(self._value)
        return None if left is None or right is None else _COMPARE[operator](left, right)

    @override
    def visit_is_null(self, operand: tree.ColumnExpression, flags: PredicateVisitFlags) -> bool | None:
        return operand.visit(self._value) is None

    @override
    def visit_in_container(
        self,
        member: tree.ColumnExpression,
        container: tuple[tree.ColumnExpression, ...],
        flags: PredicateVisitFlags,
    ) -> bool | None:
        value = member.visit(self._value)
        return None if value is None else value in [item.visit(self._value) for item in container]

    @override
    def visit_in_range(
        self,
        member: tree.ColumnExpression,
        start: int,
        stop: int | None,
        step: int,
        flags: PredicateVisitFlags,
    ) -> bool | None:
        value = member.visit(self._value)
        if value is None:
            return None
        return bool(value >= start and (stop is None or value < stop) and (value - start) % step == 0)

    @override
    def visit_in_query_tree(self, *args: Any, **kwargs: Any) -> bool | None:
        raise InputError("An expression that selects exposures cannot hold a query.")

    @override
    def apply_logical_not(
        self, original: Any, result: bool | None, flags: PredicateVisitFlags
    ) -> bool | None:
        return None if result is None else not result

    @override
    def apply_logical_or(
        self, originals: Any, results: tuple[bool | None, ...], flags: PredicateVisitFlags
    ) -> bool | None:
        return True if True in results else None if None in results else False

    @override
    def apply_logical_and(self, originals: Any, results: tuple[bool | None, ...]) -> bool | None:
        return False if False in results else None if None in results else True
