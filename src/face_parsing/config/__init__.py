"""The configuration: sections and their keys, where values come from, paths."""
