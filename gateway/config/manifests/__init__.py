"""The manifests in force, as pydantic models, one file for each kind."""
