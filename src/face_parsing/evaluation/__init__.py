"""Metrics, what is counted of predictions, reports and tests of significance."""
