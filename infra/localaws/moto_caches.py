"""What moto works out anew for each request to a table and need not: UpdateItem takes little more than half the time.

Nothing that it answers changes (but for expressions so long that moto itself gives up). moto's own code still does all
of the work; these are caches of what depends on the text of an expression or on a type alone, and a
faster copy, put at names that it looks up when it runs. A test compares the answers with those of moto as it is.
DynamoDB is most of what the endpoint computes for a scenario, since each message is a claim, an effect and a
completion. Without these caches an UpdateItem takes 1.8 times as long (docs/decisions/moto.md).
"""

from __future__ import annotations

import functools
import pickle
from typing import Any

from moto.core import responses
from moto.dynamodb.comparisons import ConditionExpressionParser
from moto.dynamodb.parsing import ast_nodes
from moto.dynamodb.parsing.expressions import UpdateExpressionParser

from infra.localaws.moto_seams import add, replace

#: Expressions, and rests of expressions, that are remembered. A program has a few; their values stand beside them.
EXPRESSIONS = 1024


@functools.cache
def quicken() -> None:
    """Change moto in this process; a second time does nothing.

    Raises:
        MotoChangedError: moto lacks what the patch changes.
    """
    # An update expression is parsed once, and not twice a request. Code that changes the tree copies it first.
    replace(UpdateExpressionParser, "make", "2c00ed96d6e1", functools.lru_cache(EXPRESSIONS))
    add(ast_nodes.Node, "__deepcopy__", _copied)
    replace(ast_nodes.DepthFirstTraverser, "traverse_node_recursively", "d7f01d9b45cf", lambda _: _traverse)
    replace(ast_nodes.Node, "find_clauses", "b77be7ac447d", lambda _: _find_clauses)
    replace(ConditionExpressionParser, "_lex_one_node", "58485dd15b2f", _finding_tokens_once)
    # A handler's methods are listed once, and not a request.
    replace(responses, "method_names_from_class", "9dbac89d082b", functools.cache)


def _copied(self: Any, _memo: Any) -> Any:
    """Copy an update expression's tree in C; the copy begins at its root, so nothing outside refers into it."""
    return pickle.loads(pickle.dumps(self, pickle.HIGHEST_PROTOCOL))  # noqa: S301 - written a moment ago


# A type is asked once what it is, and not each node a dozen times: for abstract types that is slow.


def _traverse(self: Any, node: Any, child_id: int = -1) -> Any:
    return _visit(self, ast_nodes.Node, tuple(self._processing_map()), node, child_id)


def _find_clauses(self: Any, clause_types: Any) -> list[Any]:
    found: list[Any] = []
    for child in self.children or ():
        kind: Any = type(child)
        if kind in clause_types:
            found.append(child)
        elif _is_a(kind, (ast_nodes.Expression, ast_nodes.UpdateExpressionFunction)):
            found += child.find_clauses(clause_types)
    return found


def _visit(traverser: Any, tree: Any, processed: tuple[type, ...], node: Any, child_id: int) -> Any:
    """Process a tree from its leaves up, as moto's traverser does."""
    kind: Any = type(node)
    if not _is_a(kind, tree):
        return node
    parent = node.parent
    for at, child in enumerate(node.children or ()):
        traverser.pre_processing_of_child(node, at)
        _visit(traverser, tree, processed, child, at)
    if _is_a(kind, processed):
        node = traverser.process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


@functools.cache
def _is_a(kind: Any, classes: Any) -> bool:
    return issubclass(kind, classes)


def _finding_tokens_once(find: Any) -> Any:
    """Find a condition's tokens once. A token is a named tuple, which cannot change."""
    # It needs nothing of its parser.
    remembered = functools.lru_cache(EXPRESSIONS)(functools.partial(find, ConditionExpressionParser(None, None, None)))
    return lambda _self, rest: remembered(rest)
