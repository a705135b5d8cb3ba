"""The broker: takes leads from generators, keeps them, and sends them to buyers."""
