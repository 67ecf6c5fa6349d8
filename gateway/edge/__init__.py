"""The outside world: disk, network, database, processes. One library a module, and no decisions."""
