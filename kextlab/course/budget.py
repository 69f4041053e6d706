"""Step budgets: a learner's code ends after so many rounds and calls, whatever it does.

The code is compiled with a call of ``tick`` at the head of every loop, function, comprehension and
exception handler. A tick beyond the budget raises ``BudgetSpent``, and goes on raising, so that no
``except:`` keeps an endless loop alive. The count depends on the code alone: no clock, and no trace
function that a debugger or a coverage tool would fight over.

Left out: what never comes back from C, as ``sum(itertools.count())``; only another process ends
that.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from types import CodeType
from typing import Final, TypeVar

TICK: Final = "__tick__"
"""The name under which compiled code finds its budget."""

Node = TypeVar("Node", bound=ast.AST)


class BudgetSpent(BaseException):
    """The code took more steps than allowed. No answer should catch it, so it is no Exception."""


class Budget:
    """Counts ticks.

    Attributes:
        limit: ticks allowed until the next ``renew``.
        used: ticks since then.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def renew(self, limit: int) -> None:
        """Start counting again."""
        self.limit, self.used = limit, 0

    def tick(self) -> bool:
        """Count one step; True. Raises BudgetSpent once there are more than ``limit``."""
        self.used += 1
        if self.used > self.limit:
            raise BudgetSpent(f"more than {self.limit:,} steps: an endless loop?")
        return True


@lru_cache(maxsize=64)
def compiled(source: str, name: str) -> CodeType:
    """The code of a cell, with ticks; ``name`` is its file name in tracebacks.

    Raises:
        SyntaxError, ValueError: it is no Python.
    """
    tree = ast.parse(source, name)
    return compile(ast.fix_missing_locations(_Ticking().visit(tree)), name, "exec")


class _Ticking(ast.NodeTransformer):
    """Puts a tick at the head of whatever can run again and again."""

    def _ticked(self, node: Node, body: list[ast.stmt]) -> Node:
        self.generic_visit(node)
        first = body[0]
        has_docstring = (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        )
        body.insert(int(has_docstring), ast.copy_location(ast.Expr(_call()), first))
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._ticked(node, node.body)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self._ticked(node, node.body)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._ticked(node, node.body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._ticked(node, node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._ticked(node, node.body)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        return self._ticked(node, node.body)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.ifs.insert(0, _call())
        return node


def _call() -> ast.Call:
    return ast.Call(ast.Name(TICK, ast.Load()), [], [])
