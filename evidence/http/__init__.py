"""The HTTP side of evidence: the envelope, the v1 API and the operator's API."""
