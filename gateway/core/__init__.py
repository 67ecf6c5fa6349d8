"""The decisions: values in, values out. No clock, chance, file, socket, log or library; import-linter holds the wall."""
