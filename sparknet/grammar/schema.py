"""The JSON Schema of the syntax tree, for tools that read or write trees in other languages."""

from __future__ import annotations

import json

from sparknet.grammar.syntax import File


def schema_text() -> str:
    """The schema as JSON text, as it is published in `docs/net.schema.json`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **File.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
