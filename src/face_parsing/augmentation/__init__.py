"""What training does to a pair before the network sees it."""
