"""Mail bytes to values and back. Uses the processor and the template files, nothing else."""
