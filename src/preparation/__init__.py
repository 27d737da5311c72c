"""Other people's data sets, and changed copies of one's own, in the layout that training reads (data/README.md)."""
