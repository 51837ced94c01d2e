"""The stream of names: row i of a seed, drawn on a CPU, on a GPU, or straight from its definition."""
