"""The JSON Schema of customers' files, for editors; the models stay the only truth."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from outfeed.config.kinds import KINDS

SCHEMA_ID = "urn:outfeed:schema:customer:1"


def json_schema() -> dict[str, Any]:
    """The schema of every kind of customer's file, in draft 2020-12."""
    _, shared = models_json_schema([(model, "validation") for model in KINDS.values()])
    kinds = [{"$ref": f"#/$defs/{model.__name__}"} for model in KINDS.values()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Customer of Outfeed",
        "description": "One file per customer: what is exported, when, and where to. Outfeed also reads "
        "document 000's connector_type, external_storage_uri and 'host public key', which editors underline.",
        "oneOf": kinds,
        **shared,
    }
