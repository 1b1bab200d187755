"""The saved tables of the parser are those of the grammar."""

from __future__ import annotations

import json
import os

import lark

from sparknet.grammar import parse, tables
from sparknet.grammar.machine import machine
from tests.catalogue import check_text


def made_for(text):
    return json.loads(text)["made_for"]


def test_lark_is_of_a_series_that_the_automaton_was_read_from():
    """`machine.py` and `tables.py` use what Lark keeps for itself: try them before `pyproject.toml` lets another in."""
    assert lark.__version__.startswith("1.3.")


def test_the_saved_tables_are_those_of_the_grammar():
    text = tables.tables_text()
    if "SPARKNET_UPDATE" in os.environ or made_for(text)["lark"] == made_for(tables.TABLES.read_text())["lark"]:
        check_text(tables.TABLES, text)


def test_tables_of_another_version_are_not_used(tmp_path, monkeypatch):
    other = json.loads(tables.TABLES.read_text())
    other["made_for"]["lark"] = "0.0"
    for content in (json.dumps(other), "{}", "not json"):
        monkeypatch.setattr(tables, "TABLES", tmp_path / "net.tables.json")
        tables.TABLES.write_text(content)
        tables.grammar.cache_clear()
        machine.cache_clear()
        assert parse("let a = 1").items[0].name.text == "a"
    tables.grammar.cache_clear()
    machine.cache_clear()
