"""The wire contract, generated from protos/leadgate/v1 by scripts/gen_protos.py."""
