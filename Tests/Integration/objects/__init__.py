"""The conformance suite of the object store: AWS's documented behaviour, one file a feature group."""
