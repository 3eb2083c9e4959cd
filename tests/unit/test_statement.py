"""SQL by name: numbers are made from names, and columns are listed where their table is."""

import re
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from sqlalchemy import ARRAY, BigInteger, Column, Integer, MetaData, Table, Text, column
from sqlalchemy.dialects.postgresql import JSONB

from backbone.storage.statement import Statement, rows, tuples

shelves = Table(
    "shelves",
    MetaData(),
    Column("sku", Text(collation="C"), primary_key=True),
    Column("offset", Integer),
    Column("pieces", BigInteger),
)
boxes = Table(
    "boxes",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("content", JSONB),
    Column("marks", ARRAY(Text)),
)


class Shelf(NamedTuple):
    sku: str
    offset: int
    pieces: int


def _text(statement: Statement) -> str:
    return " ".join(statement.text.split())


def test_an_argument_has_one_number_wherever_its_name_stands() -> None:
    statement = Statement("SELECT 1 WHERE a = :b AND (c = :d OR :b IS NULL)")
    assert statement.text == "SELECT 1 WHERE a = $1 AND (c = $2 OR $1 IS NULL)"
    assert statement.arguments({"d": 4, "b": 2}) == [2, 4]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT now()::text, '{}'::jsonb",
        "SELECT 'at 10:30', ':not', 'it''s :not'",
        "SELECT E'it\\'s :not'",
        'SELECT ":not" FROM t',
        "SELECT 1 -- see :not\n, 2 /* and\n:not */",
        "SELECT $tag$ :not $tag$, $$ :not $$",
        "SELECT a[1:upper], b[(1):upper] FROM t",
        "SELECT f(a := 1)",
    ],
)
def test_a_colon_in_a_literal_a_comment_a_cast_or_a_slice_begins_no_name(text: str) -> None:
    assert Statement(text).text == text


def test_a_name_may_be_cast() -> None:
    assert Statement("SELECT :a::text, (:a)::int[], -:b").text == "SELECT $1::text, ($1)::int[], -$2"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": 1}, "needs b"),
        ({"a": 1, "b": 2, "c": 3}, "has no c"),
        ({"b": 1, "c": 2, "d": 3}, "needs a and has no c, d"),
    ],
)
def test_a_missing_or_an_unknown_argument_is_named(given: dict[str, int], said: str) -> None:
    statement = Statement("SELECT :a,\n       :b")
    with pytest.raises(TypeError, match=re.escape(f"This statement {said}: SELECT $1, $2")):
        statement.arguments(given)


def test_a_table_names_its_columns() -> None:
    statement = Statement("INSERT INTO other (:s.columns) SELECT :s.* FROM shelves AS s", s=shelves)
    assert statement.text == (
        'INSERT INTO other (sku, "offset", pieces) SELECT s.sku, s."offset", s.pieces FROM shelves AS s'
    )
    assert statement.arguments({}) == []


def test_rows_are_sent_as_one_array_for_each_column() -> None:
    statement = Statement("SELECT :new.* FROM :new WHERE :late", new=rows(shelves))
    assert statement.text == (
        'SELECT new.sku, new."offset", new.pieces'
        ' FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS new(sku, "offset", pieces) WHERE $4'
    )
    given = [Shelf("a", 1, 10), Shelf("b", 2, 20)]
    assert statement.arguments({"late": True, "new": given}) == [["a", "b"], [1, 2], [10, 20], True]
    assert statement.arguments({"late": True, "new": iter(given)})[2] == [10, 20]
    assert statement.arguments({"late": True, "new": ()}) == [[], [], [], True]


def test_one_column_of_the_rows_can_be_taken_alone() -> None:
    statement = Statement("SELECT FROM unnest(:new.pieces) JOIN :new ON true", new=rows(shelves))
    assert statement.text.startswith("SELECT FROM unnest($3::bigint[]) JOIN unnest($1::text[]")


def test_numbered_rows_have_an_ordinal() -> None:
    statement = Statement("SELECT FROM :new.numbered", new=rows(shelves.c.sku))
    assert statement.text == "SELECT FROM unnest($1::text[]) WITH ORDINALITY AS new(sku, ordinal)"


def test_what_changes_is_all_but_the_key() -> None:
    new = rows(shelves)
    assert Statement(":new.changes", new=new).text == '"offset" = new."offset", pieces = new.pieces'
    assert Statement(":new.excluded", new=new).text == '"offset" = excluded."offset", pieces = excluded.pieces'


def test_what_postgres_has_no_arrays_of_is_sent_as_text() -> None:
    statement = Statement("SELECT FROM :new", new=rows(boxes))
    assert statement.text == (
        "SELECT FROM (SELECT id, content::jsonb AS content, marks::text[] AS marks"
        " FROM unnest($1::text[], $2::text[], $3::text[]) AS sent(id, content, marks)) AS new"
    )


def test_a_value_comes_from_the_attribute_or_the_function_that_is_named() -> None:
    thing = SimpleNamespace(name="a", place=SimpleNamespace(number=3))
    new = rows(shelves, without=("pieces",), sku="name", offset="place.number")
    assert new.arrays([thing]) == [["a"], [3]]
    assert rows(shelves.c.sku, sku=lambda each: each.name.upper()).arrays([thing]) == [["A"]]


def test_values_may_be_within_another() -> None:
    named = SimpleNamespace(sku="a", shelf=Shelf("?", 1, 10))
    assert rows(shelves, within="shelf", sku="sku").arrays([named]) == [["a"], [1], [10]]


def test_rows_that_are_only_listed_are_no_argument() -> None:
    statement = Statement("SELECT :s.columns FROM shelves WHERE sku = :sku", s=rows(shelves, without=("pieces",)))
    assert statement.text == 'SELECT sku, "offset" FROM shelves WHERE sku = $1'
    assert statement.arguments({"sku": "a"}) == ["a"]


def test_names_of_nothing_are_refused() -> None:
    with pytest.raises(TypeError, match="no column peaces"):
        rows(shelves, peaces="pieces")
    with pytest.raises(TypeError, match="new has no column peaces"):
        Statement(":new.peaces", new=rows(shelves))
    with pytest.raises(TypeError, match="does not name old"):
        Statement("SELECT :new.*", new=rows(shelves), old=rows(shelves))
    with pytest.raises(TypeError, match=r":old.pieces is of no table and no rows"):
        Statement(":old.pieces, :new.pieces", new=rows(shelves))


def test_tuples_have_their_columns_in_order() -> None:
    statement = Statement("SELECT FROM :new", new=tuples(shelves.c.sku, shelves.c.pieces))
    assert statement.text == "SELECT FROM unnest($1::text[], $2::bigint[]) AS new(sku, pieces)"
    assert statement.arguments({"new": [("a", 1), ("b", 2)]}) == [["a", "b"], [1, 2]]


def test_a_column_of_no_table_is_sent_and_not_listed() -> None:
    new = rows(shelves.c.sku, column("start", BigInteger), shelves.c.pieces)
    assert Statement("FROM :new", new=new).text == (
        "FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new(sku, start, pieces)"
    )
    assert Statement(":new.*, :new.columns", new=new).text == "new.sku, new.pieces, sku, pieces"
    assert Statement(":new.changes", new=new).text == "pieces = new.pieces"


def test_a_new_column_needs_its_table_alone() -> None:
    wider = shelves.to_metadata(MetaData())
    wider.append_column(Column("note", Text))
    save = "INSERT INTO shelves (:new.columns) SELECT :new.* FROM :new ON CONFLICT (sku) DO UPDATE SET :new.excluded"
    before, after = (_text(Statement(save, new=rows(table))) for table in (shelves, wider))
    assert "note" not in before
    assert after.count("note") == 5
