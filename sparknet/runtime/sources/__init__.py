"""Where rows come from: files of every kind, built-in data sets, tables that a program hands over."""
