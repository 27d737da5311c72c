"""Pictures of masks and runs, and masks in other formats."""
