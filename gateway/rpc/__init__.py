"""The gateway's gRPC side: one class per service, and the edge all calls come through."""
