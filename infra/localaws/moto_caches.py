"""What moto works out anew for each request to a table and need not: UpdateItem takes half the time without it.

Nothing that it answers changes (but for expressions so long that moto itself gives up). moto's own code still does all
of the work; these are caches of what depends on the text of an expression or on a type alone, a quicker copy and a
quicker draw, put at names that it looks up when it runs. A test compares the answers with those of moto as it is.
DynamoDB is most of what the endpoint computes for a scenario, since each message is a claim, an effect and a
completion.
"""

from __future__ import annotations

import functools
import pickle
from contextlib import suppress
from typing import Any

#: Expressions, and rests of expressions, that are remembered. A program has a few; their values stand beside them.
EXPRESSIONS = 1024


@functools.cache
def quicken() -> None:
    """Change moto in this process; a second time does nothing. A version without one of the names goes without it."""
    for seam in (
        _parse_updates_once,
        _copy_trees_by_pickle,
        _know_nodes_by_type,
        _find_tokens_once,
        _list_actions_once,
        _draw_ids_at_once,
    ):
        with suppress(ImportError, AttributeError):
            seam()


def _parse_updates_once() -> None:
    """Parse an update expression once, and not twice a request. Whoever changes the tree copies it before."""
    from moto.dynamodb.parsing.expressions import UpdateExpressionParser  # noqa: PLC0415 - moto loads in the background

    UpdateExpressionParser.make = functools.lru_cache(EXPRESSIONS)(UpdateExpressionParser.make)


def _copy_trees_by_pickle() -> None:
    """Copy an update expression's tree in C; the copy begins at its root, so nothing outside refers into it."""
    from moto.dynamodb.parsing.ast_nodes import Node  # noqa: PLC0415 - likewise

    def copied(self: Any, _memo: Any) -> Any:
        return pickle.loads(pickle.dumps(self, pickle.HIGHEST_PROTOCOL))  # noqa: S301 - written a moment ago

    Node.__deepcopy__ = copied


def _know_nodes_by_type() -> None:
    """Ask once a type what it is, and not each node a dozen times: for abstract types that is slow."""
    from moto.dynamodb.parsing import ast_nodes  # noqa: PLC0415 - likewise

    tree, nested = ast_nodes.Node, (ast_nodes.Expression, ast_nodes.UpdateExpressionFunction)

    def traverse(self: Any, node: Any, child_id: int = -1) -> Any:
        return _visit(self, tree, tuple(self._processing_map()), node, child_id)

    def find_clauses(self: Any, clause_types: Any) -> list[Any]:
        found: list[Any] = []
        for child in self.children or ():
            kind: Any = type(child)
            if kind in clause_types:
                found.append(child)
            elif _is_a(kind, nested):
                found += child.find_clauses(clause_types)
        return found

    ast_nodes.DepthFirstTraverser.traverse_node_recursively = traverse
    tree.find_clauses = find_clauses


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


def _find_tokens_once() -> None:
    """Find a condition's tokens once. A token is a named tuple that nobody changes."""
    from moto.dynamodb.comparisons import ConditionExpressionParser  # noqa: PLC0415 - likewise

    find = ConditionExpressionParser._lex_one_node  # noqa: SLF001 - the seam; it needs nothing of its parser
    remembered = functools.lru_cache(EXPRESSIONS)(functools.partial(find, ConditionExpressionParser(None, None, None)))
    ConditionExpressionParser._lex_one_node = lambda _self, rest: remembered(rest)  # noqa: SLF001 - likewise


def _list_actions_once() -> None:
    """List a handler's methods once, and not a request."""
    from moto.core import responses  # noqa: PLC0415 - likewise

    responses.method_names_from_class = functools.cache(responses.method_names_from_class)


def _draw_ids_at_once() -> None:
    """Draw the 52 characters of a request's id in one go."""
    from moto.moto_api._internal import moto_random  # noqa: PLC0415 - likewise

    def get_random_string(self: Any, length: int = 20, include_digits: bool = True, lower_case: bool = False) -> str:
        letters = moto_random.string.ascii_letters + (moto_random.string.digits if include_digits else "")
        drawn = "".join(self.choices(letters, k=length))
        return drawn.lower() if lower_case else drawn

    moto_random.MotoRandom.get_random_string = get_random_string
