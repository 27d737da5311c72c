"""Looking a data set over: what it holds, what is wrong or odd about it, and near duplicates."""
