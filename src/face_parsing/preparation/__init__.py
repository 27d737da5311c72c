"""Other data sets brought into the layout that training reads."""
