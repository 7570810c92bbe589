"""The network: its configuration, its parts in the order that data flows, and its checkpoint."""
