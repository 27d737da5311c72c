"""The machine: devices, processes, seeds, files, and what all commands share."""
