"""The JSON Schema of rules files, for editors that complete and check them."""

import json

from onspec.decision.rules import RuleSet

URI = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """What `docs/rules.schema.json` holds and `onspec rules --schema` prints."""
    schema = {"$schema": URI, **RuleSet.model_json_schema(by_alias=True), "title": "onspec rules"}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
